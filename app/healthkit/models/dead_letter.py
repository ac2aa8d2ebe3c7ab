"""A message that will never run again by itself."""

from django.db import models
from django.db.models.functions import Now

from healthkit.models.import_batch import ImportBatch
from healthkit.models.import_chunk import ImportChunk


class DeadLetter(models.Model):
    """An exhausted chunk, a refused reminder, an unregistered task or an undecodable message, to be put back."""

    task_name = models.TextField()
    message_id = models.TextField()
    payload = models.JSONField()
    reason = models.TextField()
    batch = models.ForeignKey(ImportBatch, null=True, blank=True, on_delete=models.CASCADE, db_index=False)
    chunk = models.ForeignKey(ImportChunk, null=True, blank=True, on_delete=models.CASCADE)
    created_at = models.DateTimeField(db_default=Now())
    redriven_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "healthkit_dead_letter"
        constraints = [
            # A message that is delivered again is the same dead letter.
            models.UniqueConstraint(
                fields=["task_name", "message_id"],
                condition=models.Q(redriven_at__isnull=True),
                name="healthkit_dead_letter_message",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_name} {self.message_id}: {self.reason}"
