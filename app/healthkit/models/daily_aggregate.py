"""What dashboards read: one row per user, type and local day."""

from django.db import models
from django.db.models.functions import Now

from healthkit.models.sample_type import SampleType


class DailyAggregate(models.Model):
    """Figures of one local day (docs/aggregates.md). `closed`: retention took records, so it never changes."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, db_index=False)
    type = models.ForeignKey(SampleType, on_delete=models.PROTECT, db_index=False)
    day = models.DateField()
    total = models.FloatField(null=True, blank=True)
    mean = models.FloatField(null=True, blank=True)
    minimum = models.FloatField(null=True, blank=True)
    maximum = models.FloatField(null=True, blank=True)
    sample_count = models.IntegerField()
    closed = models.BooleanField(db_default=False)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "healthkit_daily_aggregate"
        constraints = [
            models.UniqueConstraint(fields=["user", "type", "day"], name="healthkit_daily_aggregate_day"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}/{self.type_id}/{self.day}"
