"""The sending of one reminder at one due time."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class DeliveryStatus(models.TextChoices):
    """Allowed transitions: pending → sent, pending → failed (with a dead letter), failed → pending (its re-drive)."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


class Delivery(models.Model):
    """Unique by reminder and due time; its key is the idempotency key at the gateway.

    A claim (token, expiry by the database's clock) keeps two workers from sending at once; it is committed before the
    request goes out and guards the update that records the answer.
    """

    reminder = models.ForeignKey("reminders.Reminder", on_delete=models.CASCADE, related_name="deliveries")
    due_at = models.DateTimeField()
    key = models.TextField(unique=True)
    status = models.TextField(choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING)
    attempts = models.IntegerField(default=0)
    last_error = models.TextField(default="")
    next_attempt_at = models.DateTimeField(null=True, db_default=Now())
    claim_token = models.UUIDField(null=True)
    claim_expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)

    class Meta:
        """Statuses and uniqueness are the database's."""

        db_table = "reminders_delivery"
        constraints = [
            models.UniqueConstraint(fields=["reminder", "due_at"], name="delivery_once_per_due_time"),
            models.CheckConstraint(condition=Q(status__in=DeliveryStatus.values), name="delivery_status_known"),
            models.CheckConstraint(
                condition=Q(status="sent", sent_at__isnull=False) | (~Q(status="sent") & Q(sent_at__isnull=True)),
                name="delivery_sent_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(status="pending") | Q(next_attempt_at__isnull=False), name="delivery_pending_has_turn"
            ),
        ]
        indexes = [models.Index(fields=["next_attempt_at"], name="delivery_pending", condition=Q(status="pending"))]

    def __str__(self) -> str:
        return f"delivery {self.key} {self.status}"
