"""A part of a batch: about a hundred raw samples, imported in one transaction."""

from django.db import models
from django.db.models.functions import Now

from healthkit.models.import_batch import ImportBatch
from healthkit.models.status import ChunkStatus


class ImportChunk(models.Model):
    """One chunk. A set `claim_token` is a claim; `claim_slot` makes the number of claims of a batch a constraint.

    Counters: `executions` claims ever made, `data_attempts` runs that the data ended, `interruptions` holders that were
    lost, `infra_attempts` runs that the surroundings ended. `next_attempt_at` holds a retry back; `next_dispatch_at`
    says when the sweeper may publish it (again), null means at once.
    """

    batch = models.ForeignKey(ImportBatch, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    chunk_index = models.IntegerField()
    status = models.TextField(choices=ChunkStatus.choices, db_default=ChunkStatus.PENDING)
    digest = models.TextField()
    samples = models.TextField()
    sample_count = models.IntegerField()
    claim_token = models.UUIDField(null=True, blank=True)
    claim_slot = models.IntegerField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    claim_expires_at = models.DateTimeField(null=True, blank=True)
    claimed_by = models.TextField(db_default="", blank=True)
    data_attempts = models.IntegerField(db_default=0)
    interruptions = models.IntegerField(db_default=0)
    infra_attempts = models.IntegerField(db_default=0)
    executions = models.IntegerField(db_default=0)
    last_error = models.TextField(db_default="", blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(null=True, blank=True)
    dispatch_count = models.IntegerField(db_default=0)
    next_dispatch_at = models.DateTimeField(null=True, blank=True)
    imported_count = models.IntegerField(db_default=0)
    duplicate_count = models.IntegerField(db_default=0)
    rejected_count = models.IntegerField(db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "healthkit_import_chunk"
        constraints = [
            models.UniqueConstraint(fields=["batch", "chunk_index"], name="healthkit_import_chunk_index"),
            # At most as many claims as slots, whatever was delivered twice: sequential mode has slot 0 alone.
            models.UniqueConstraint(
                fields=["batch", "claim_slot"],
                condition=models.Q(claim_token__isnull=False),
                name="healthkit_import_chunk_slot",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=ChunkStatus.values), name="healthkit_import_chunk_status"
            ),
            models.CheckConstraint(
                condition=models.Q(claim_token__isnull=True)
                | models.Q(
                    status=ChunkStatus.PENDING,
                    claim_slot__isnull=False,
                    claimed_at__isnull=False,
                    claim_expires_at__isnull=False,
                ),
                name="healthkit_import_chunk_claim",
            ),
            models.CheckConstraint(
                condition=models.Q(status=ChunkStatus.PENDING, finished_at__isnull=True)
                | models.Q(status__in=[ChunkStatus.DONE, ChunkStatus.FAILED], finished_at__isnull=False),
                name="healthkit_import_chunk_finished",
            ),
        ]
        indexes = [
            # What is not moving: the sweeper's queue, oldest first.
            models.Index(
                fields=["next_dispatch_at"],
                condition=models.Q(status=ChunkStatus.PENDING),
                name="healthkit_chunk_pending",
            ),
            # How far the queue has got: dispatch times of what was finished lately.
            models.Index(
                fields=["finished_at"], condition=models.Q(finished_at__isnull=False), name="healthkit_chunk_finished"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id}/{self.chunk_index}"
