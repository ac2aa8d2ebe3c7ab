"""The history of anchors."""

from django.db import models
from django.db.models.functions import Now

from healthkit.models.import_batch import ImportBatch


class AnchorMove(models.Model):
    """One move of an anchor. A batch moves an anchor at most once, and no value becomes current twice."""

    device = models.ForeignKey("accounts.Device", on_delete=models.CASCADE, db_index=False)
    type_identifier = models.TextField()
    from_value = models.TextField(null=True, blank=True)
    to_value = models.TextField()
    batch = models.OneToOneField(ImportBatch, on_delete=models.PROTECT)
    moved_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "healthkit_anchor_move"
        constraints = [
            models.UniqueConstraint(
                fields=["device", "type_identifier", "to_value"], name="healthkit_anchor_move_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.device_id}/{self.type_identifier}"
