"""What a person wants to be reminded of."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Reminder(models.Model):
    """A text to send at `due_at`, never before it; `has_delivery` keeps past ones out of the look for due ones."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="reminders")
    key = models.TextField()
    text = models.TextField()
    due_at = models.DateTimeField()
    has_delivery = models.BooleanField(db_default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        """Creating one is idempotent by the phone's key."""

        db_table = "reminders_reminder"
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="reminder_once_per_key")]
        indexes = [models.Index(fields=["due_at"], name="reminder_undelivered", condition=Q(has_delivery=False))]

    def __str__(self) -> str:
        return f"reminder {self.pk} due {self.due_at.isoformat()}"
