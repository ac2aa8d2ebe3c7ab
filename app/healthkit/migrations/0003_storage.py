"""How rows are stored: what decides the cost of accepting and importing a chunk, and cannot be said in a model."""

from django.db import migrations

# A chunk's raw text is about 20 kB, written once, read once. lz4 compresses it several times faster than pglz; a server
# that was built without it keeps its default.
FAST_COMPRESSION = """
DO $$ BEGIN
    ALTER TABLE healthkit_import_chunk ALTER COLUMN samples SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    RAISE NOTICE 'this server has no lz4: healthkit_import_chunk.samples keeps the default compression';
END $$
"""

DIGEST_LENGTH = """
ALTER TABLE healthkit_record_fingerprint
    ADD CONSTRAINT healthkit_fingerprint_length CHECK (octet_length(fingerprint) = 32)
"""


class Migration(migrations.Migration):
    dependencies = [("healthkit", "0002_sample_types")]

    operations = [
        migrations.RunSQL(FAST_COMPRESSION, migrations.RunSQL.noop),
        migrations.RunSQL(
            DIGEST_LENGTH, "ALTER TABLE healthkit_record_fingerprint DROP CONSTRAINT healthkit_fingerprint_length"
        ),
    ]
