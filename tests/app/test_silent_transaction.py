"""A transaction whose client says nothing more is ended by Postgres, wherever in it the client fell silent."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from backend.env import config
from scheduling.management.commands.migrate_stack import role_settings_apply
from tests.app.environment import SERVERS
from tests.app.waiting import wait_until

LOCK = "SELECT pg_advisory_xact_lock(7)"
IS_FREE = "SELECT pg_try_advisory_lock(7)"


@pytest.fixture
def short_times(stores: None) -> Iterator[None]:
    """The times of a stack that gives up soon, for sessions opened from now on."""
    settings = config()
    role_settings_apply(replace(settings, idle_in_transaction_timeout_s=0.2, claim_timeout_s=0.5))
    yield
    role_settings_apply(settings)


def session() -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(SERVERS.database_url, autocommit=True)


def see_ended(silent: psycopg.Connection[tuple[object, ...]]) -> None:
    """Its backend goes, and with it the lock."""
    pid = silent.info.backend_pid
    with session() as other:
        wait_until(
            lambda: other.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() is None,
            what=f"the end of backend {pid}",
        )
        assert other.execute(IS_FREE).fetchone() == (True,)


def test_between_two_statements(short_times: None) -> None:
    silent = session()
    silent.execute("BEGIN")
    silent.execute(LOCK)
    see_ended(silent)
    silent.close()


def test_between_two_statements_of_a_pipeline(short_times: None) -> None:
    """Before its Sync a session is not idle, and no statement runs: neither of these timeouts ever ends it."""
    silent = session()
    silent.pgconn.enter_pipeline_mode()
    for statement in ("BEGIN", LOCK):
        silent.pgconn.send_query_params(statement.encode(), None)
    silent.pgconn.send_flush_request()
    silent.pgconn.flush()
    see_ended(silent)
    silent.close()
