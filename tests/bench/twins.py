"""Tables with the columns, indexes and constraints of records and fingerprints; and a model on one of them."""

import django.db.models as models

from healthkit.database import execute, fetch_all

RECORD, FINGERPRINT = "healthkit_data_record", "healthkit_record_fingerprint"
LOOP_RECORD = "bench_loop_record"
COPY_RECORD, COPY_FINGERPRINT = "bench_copy_record", "bench_copy_fingerprint"


def make_twins() -> None:
    """Make the three tables anew. `LIKE … INCLUDING ALL` brings all but foreign keys, which are copied by name."""
    for original, twin in ((RECORD, LOOP_RECORD), (RECORD, COPY_RECORD), (FINGERPRINT, COPY_FINGERPRINT)):
        execute(f"DROP TABLE IF EXISTS {twin}")
        execute(f"CREATE TABLE {twin} (LIKE {original} INCLUDING ALL)")
        for (definition,) in fetch_all(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND conrelid = $1::regclass",
            original,
        ):
            execute(f"ALTER TABLE {twin} ADD {definition}")


class LoopRecord(models.Model):
    """What the articles' loop writes: one row a sample, found by user and UUID."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, db_index=False, related_name="+")
    type = models.ForeignKey("healthkit.SampleType", on_delete=models.PROTECT, db_index=False, related_name="+")
    source = models.ForeignKey("healthkit.DataSource", on_delete=models.PROTECT, db_index=False, related_name="+")
    chunk = models.ForeignKey("healthkit.ImportChunk", on_delete=models.PROTECT, db_index=False, related_name="+")
    hk_uuid = models.UUIDField(null=True)
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()
    value = models.FloatField(null=True)
    category = models.TextField(null=True)
    unit = models.TextField()
    objects: models.Manager["LoopRecord"] = models.Manager()

    class Meta:
        app_label = "bench"
        db_table = LOOP_RECORD
        managed = False

    def __str__(self) -> str:
        return str(self.pk)
