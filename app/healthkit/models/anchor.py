"""How far a device's sync of one type has got."""

from django.db import models
from django.db.models.functions import Now

from healthkit.models.import_batch import ImportBatch


class Anchor(models.Model):
    """The current anchor: opaque to the server, never ahead of committed data, never backwards."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE)
    device = models.ForeignKey("accounts.Device", on_delete=models.CASCADE, db_index=False)
    type_identifier = models.TextField()
    value = models.TextField()
    batch = models.ForeignKey(ImportBatch, on_delete=models.PROTECT, db_index=False)
    moved_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "healthkit_anchor"
        constraints = [
            models.UniqueConstraint(fields=["device", "type_identifier"], name="healthkit_anchor_device_type"),
        ]

    def __str__(self) -> str:
        return f"{self.device_id}/{self.type_identifier}"
