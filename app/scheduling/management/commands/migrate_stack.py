"""`manage.py migrate_stack`: the one-shot step before the services start and before each deploy."""

from typing import Any, Final

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from psycopg import sql

from backend.env import Config, config
from scheduling.default_entries import entries_sync

SINCE: Final = {"transaction_timeout": 170_000}
"""Settings that older servers do not know, by the version that brought them."""


class Command(BaseCommand):
    """Migrate, set the role's timeouts, create the schedule. Idempotent."""

    help = "migrate, set the database role's timeouts, create missing schedule entries"

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the three steps in order."""
        with connection.cursor() as cursor:
            # Of this session: a migration may take long.
            for name in ("statement_timeout", "transaction_timeout"):
                if _is_known(name):
                    cursor.execute(sql.SQL("SET {} = 0").format(sql.Identifier(name)))
        call_command("migrate", interactive=False, verbosity=int(options["verbosity"]))
        role_settings_apply(config())
        entries_sync(config())


def role_settings(settings: Config) -> dict[str, float]:
    """Postgres settings of the app's role, in seconds.

    They belong to the role and not to sessions, so that no session state is needed (a transaction pooler would lose
    it) and no client can forget them. A backend whose client was killed while it waits for a lock would otherwise keep
    blocking for ever: that is what `client_connection_check_interval` ends. And a backend whose client went silent
    between two statements of a pipeline is neither idle nor at work, so that of all timeouts only the transaction's
    ends it: none outlives a claim.
    """
    return {
        "lock_timeout": settings.lock_timeout_s,
        "statement_timeout": settings.statement_timeout_s,
        "idle_in_transaction_session_timeout": settings.idle_in_transaction_timeout_s,
        "transaction_timeout": settings.claim_timeout_s,
        "client_connection_check_interval": settings.client_check_interval_s,
    }


def role_settings_apply(settings: Config) -> None:
    """Set them; sessions that are open already keep what they have."""
    with connection.cursor() as cursor:
        for name, value_s in role_settings(settings).items():
            if not _is_known(name):
                continue
            statement = sql.SQL("ALTER ROLE CURRENT_USER SET {} = {}")
            cursor.execute(statement.format(sql.Identifier(name), sql.Literal(f"{round(value_s * 1000)}ms")))


def _is_known(name: str) -> bool:
    return bool(connection.pg_version >= SINCE.get(name, 0))  # type: ignore[attr-defined]  # Postgres' wrapper has it
