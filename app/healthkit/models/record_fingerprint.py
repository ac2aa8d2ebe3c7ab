"""What has been imported, ever: outlives the record, so that a re-sync resurrects nothing."""

from django.db import models
from django.db.models.functions import Now


class RecordFingerprint(models.Model):
    """The SHA-256 of a sample's canonical form (32 bytes, docs/fingerprints.md) and its HealthKit UUID, per user."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, db_index=False)
    fingerprint = models.BinaryField()
    hk_uuid = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "healthkit_record_fingerprint"
        constraints = [
            models.UniqueConstraint(fields=["user", "fingerprint"], name="healthkit_fingerprint_content"),
            models.UniqueConstraint(fields=["user", "hk_uuid"], name="healthkit_fingerprint_uuid"),
        ]

    def __str__(self) -> str:
        return bytes(self.fingerprint).hex()
