"""A submission of a phone: the samples of one type between two anchors, in chunks."""

import uuid

from django.db import models
from django.db.models.functions import Now

from healthkit.models.status import BatchStatus


class ImportBatch(models.Model):
    """One submission. `moved_at`: last progress. Counters change in the transaction of the chunk that they count."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, db_index=False)
    device = models.ForeignKey("accounts.Device", on_delete=models.CASCADE, db_index=False)
    idempotency_key = models.TextField()
    type_identifier = models.TextField()
    starting_anchor = models.TextField(null=True, blank=True)
    new_anchor = models.TextField(null=True, blank=True)
    chunk_count = models.IntegerField()
    uploaded_count = models.IntegerField(db_default=0)
    done_count = models.IntegerField(db_default=0)
    failed_count = models.IntegerField(db_default=0)
    status = models.TextField(choices=BatchStatus.choices, db_default=BatchStatus.PENDING)
    created_at = models.DateTimeField(db_default=Now())
    moved_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(null=True, blank=True)
    dispatch_count = models.IntegerField(db_default=0)
    next_dispatch_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "healthkit_import_batch"
        constraints = [
            models.UniqueConstraint(fields=["device", "idempotency_key"], name="healthkit_import_batch_key"),
            models.CheckConstraint(
                condition=models.Q(status__in=BatchStatus.values), name="healthkit_import_batch_status"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    chunk_count__gte=1, uploaded_count__gte=0, uploaded_count__lte=models.F("chunk_count")
                ),
                name="healthkit_import_batch_uploaded",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    done_count__gte=0,
                    failed_count__gte=0,
                    uploaded_count__gte=models.F("done_count") + models.F("failed_count"),
                ),
                name="healthkit_import_batch_counted",
            ),
            models.CheckConstraint(
                condition=models.Q(finished_at__isnull=False)
                | models.Q(status__in=[BatchStatus.PENDING, BatchStatus.PROCESSING, BatchStatus.ABANDONED]),
                name="healthkit_import_batch_finished",
            ),
        ]
        indexes = [
            # The sweeper's and the health check's view: what has not ended, oldest movement first.
            models.Index(
                fields=["moved_at"],
                condition=models.Q(finished_at__isnull=True),
                name="healthkit_batch_open",
            ),
            # Anchors that wait for an earlier batch: by device and type, looked up when an anchor moves.
            models.Index(fields=["device", "type_identifier", "starting_anchor"], name="healthkit_batch_anchor"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
