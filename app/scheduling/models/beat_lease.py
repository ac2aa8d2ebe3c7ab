"""Who may tick."""

from django.db import models
from django.db.models.functions import Now


class BeatLease(models.Model):
    """The one lease (id 1): its holder leads until `expires_at` by the database's clock, every other beat stands by."""

    id = models.BigIntegerField(primary_key=True)
    holder = models.TextField()
    token = models.UUIDField()
    acquired_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        """One row, by constraint."""

        db_table = "scheduling_beat_lease"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="beat_lease_is_one_row")]

    def __str__(self) -> str:
        return f"lease of {self.holder} until {self.expires_at}"
