"""An imported sample."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now

from healthkit.models.data_source import DataSource
from healthkit.models.import_chunk import ImportChunk
from healthkit.models.sample_type import SampleType


class DataRecord(models.Model):
    """One sample. Every index costs each insert: add none that a query of the app does not need."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, db_index=False)
    type = models.ForeignKey(SampleType, on_delete=models.PROTECT, db_index=False)
    source = models.ForeignKey(DataSource, on_delete=models.PROTECT, db_index=False)
    chunk = models.ForeignKey(ImportChunk, on_delete=models.PROTECT, db_index=False)
    hk_uuid = models.UUIDField(null=True, blank=True)
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()
    value = models.FloatField(null=True, blank=True)
    category = models.TextField(null=True, blank=True)
    unit = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "healthkit_data_record"
        constraints = [
            models.UniqueConstraint(fields=["user", "hk_uuid"], name="healthkit_data_record_uuid"),
            models.CheckConstraint(
                condition=models.Q(end_at__gte=models.F("start_at")), name="healthkit_data_record_interval"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "type", "start_at"], name="healthkit_record_day"),
            # Retention walks by age; rows arrive in that order, so a few kilobytes are index enough.
            BrinIndex(fields=["created_at"], name="healthkit_record_age", autosummarize=True),
        ]

    def __str__(self) -> str:
        return str(self.pk)
