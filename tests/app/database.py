"""What the tests' database has beside the app's: a way to empty what a test has touched, and an old server."""

from typing import Final

from django.db import connection

KEPT: Final = frozenset({"django_migrations", "healthkit_sample_type", "django_content_type"})
"""Tables with rows that a migration or the migrate step put there, and that tests may read."""

# `age` moves claims into the past, and one from before the server's start counts as lost with the server: so the server
# claims to have been up for a day.
OURS: Final = """
CREATE SCHEMA tests;
CREATE FUNCTION tests.pg_postmaster_start_time() RETURNS timestamptz LANGUAGE sql STABLE AS
    $body$ SELECT pg_catalog.pg_postmaster_start_time() - interval '1 day' $body$;
ALTER DATABASE postgres SET search_path = public, tests, pg_catalog;
-- A table without rows whose sequence has moved (an insert that was rolled back) has been touched, too.
CREATE FUNCTION tests.touched_tables() RETURNS SETOF text LANGUAGE plpgsql AS $body$
DECLARE
    each record;
    has_rows boolean;
BEGIN
    FOR each IN
        SELECT c.oid::regclass::text AS name,
            EXISTS (
                SELECT 1 FROM pg_depend d JOIN pg_sequence s ON s.seqrelid = d.objid
                WHERE d.refobjid = c.oid AND pg_sequence_last_value(s.seqrelid) IS NOT NULL
            ) AS has_counted
        FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s)', each.name) INTO has_rows;
        IF has_rows OR each.has_counted THEN
            RETURN NEXT each.name;
        END IF;
    END LOOP;
END
$body$
"""


def database_prepare() -> None:
    """Once, after the migrations; for connections opened from then on."""
    with connection.cursor() as cursor:
        cursor.execute(OURS)


def tables_empty() -> None:
    """As after the migrations, but for `KEPT`; identities start at 1 again."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tests.touched_tables()")
        touched = [name for (name,) in cursor.fetchall() if name not in KEPT]
        if touched:
            cursor.execute(f"TRUNCATE {', '.join(touched)} RESTART IDENTITY CASCADE")
