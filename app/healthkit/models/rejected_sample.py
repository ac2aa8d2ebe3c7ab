"""A sample that could not be imported, kept with its reason."""

from django.db import models
from django.db.models.functions import Now

from healthkit.models.import_chunk import ImportChunk


class RejectReason(models.TextChoices):
    """Why a sample is kept aside; the list is closed."""

    MALFORMED = "malformed"
    UNKNOWN_TYPE = "unknown_type"
    WRONG_TYPE = "wrong_type"
    WRONG_UNIT = "wrong_unit"
    BAD_VALUE = "bad_value"
    BAD_TIME = "bad_time"
    BAD_SOURCE = "bad_source"
    UUID_CONFLICT = "uuid_conflict"
    DAY_CLOSED = "day_closed"


class RejectedSample(models.Model):
    """One raw sample by its position in the chunk; `resolved_at` says when a re-drive imported it after all."""

    chunk = models.ForeignKey(ImportChunk, on_delete=models.CASCADE, db_index=False)
    sample_index = models.IntegerField()
    reason = models.TextField(choices=RejectReason.choices)
    sample = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "healthkit_rejected_sample"
        constraints = [
            models.UniqueConstraint(fields=["chunk", "sample_index"], name="healthkit_rejected_sample_index"),
            models.CheckConstraint(
                condition=models.Q(reason__in=RejectReason.values), name="healthkit_rejected_sample_reason"
            ),
        ]
        indexes = [
            # What the metric counts, and what a re-drive looks for.
            models.Index(
                fields=["chunk"], condition=models.Q(resolved_at__isnull=True), name="healthkit_rejected_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chunk_id}/{self.sample_index}: {self.reason}"
