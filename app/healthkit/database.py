"""The raw psycopg connection below Django's, for statements that Django's ORM cannot say in one trip.

Statements are prepared on the server at their first use (Django turns that off; a worker keeps its connection). Behind
a transaction pooler this needs one that knows protocol-level prepared statements (PgBouncer 1.21 or later); nothing
else rests on the session.
"""

import logging
from typing import Any

import psycopg
from django.db import InterfaceError as DjangoInterfaceError
from django.db import OperationalError as DjangoOperationalError
from django.db import connection

from backend.logs import log_event
from backend.postgres.base import HEALTH_CHECK_BOUND_S, BoundedConnection

RawConnection = BoundedConnection
RawCursor = psycopg.RawCursor[tuple[Any, ...]]

# What the surroundings did, not the data: connection gone, timeouts, locks, deadlocks, disk full, read-only standby.
INFRASTRUCTURE_ERRORS = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    DjangoOperationalError,
    DjangoInterfaceError,
)
# OperationalErrors by their class, but no wait makes a row fit that Postgres has no room for.
TOO_MUCH_ERRORS = (psycopg.errors.ProgramLimitExceeded, psycopg.errors.StatementTooComplex)

_CANCEL_BOUND_S = 1.0
_LOGGER = logging.getLogger(__name__)


def raw_connection() -> RawConnection:
    """This thread's connection, in autocommit; opened if need be.

    Raises: `INFRASTRUCTURE_ERRORS` when Postgres cannot be reached.
    """
    if connection.connection is not None and connection.connection.closed:
        connection.close()
    connection.ensure_connection()
    raw: RawConnection = connection.connection
    if raw.prepare_threshold is None:
        raw.prepare_threshold = 0
    return raw


def raw_cursor(raw: RawConnection) -> RawCursor:
    """A cursor that binds on the server ($1, $2 …)."""
    return psycopg.RawCursor(raw)


def fetch_all(query: str, *params: object) -> list[tuple[Any, ...]]:
    """Run one statement, in a transaction of its own unless one is open; its rows."""
    return raw_cursor(raw_connection()).execute(query, params).fetchall()


def fetch_one(query: str, *params: object) -> tuple[Any, ...] | None:
    """Run one statement, in a transaction of its own unless one is open; its first row."""
    return raw_cursor(raw_connection()).execute(query, params).fetchone()


def fetch_one_checking(query: str, *params: object) -> tuple[Any, ...] | None:
    """As `fetch_one`, for the first, reading statement of a request: it is the health check of a kept connection, too.

    A dead or silent connection is replaced, once; that saves asking `SELECT 1` first.
    """
    raw = raw_connection()
    bound_s = raw.bound_s
    try:
        raw.bound_s = HEALTH_CHECK_BOUND_S
        return raw_cursor(raw).execute(query, params).fetchone()
    except (psycopg.OperationalError, psycopg.InterfaceError):
        if not raw.closed:
            raise
    finally:
        raw.bound_s = bound_s
    connection.close()
    return fetch_one(query, *params)


def execute(query: str, *params: object) -> int:
    """Run one statement, in a transaction of its own unless one is open; the number of rows that it touched."""
    return raw_cursor(raw_connection()).execute(query, params).rowcount


def drop_connection() -> None:
    """Give up this thread's connection, which may be in the middle of a statement; the next use opens another.

    The statement is cancelled first, in bounded time: a backend that waits for a lock would notice only at its next
    client check that nobody listens any more, and hold its own locks until then.
    """
    raw: RawConnection | None = connection.connection
    if raw is not None and not raw.closed:
        try:
            raw.cancel_safe(timeout=_CANCEL_BOUND_S)
        except psycopg.Error as error:
            # Postgres itself may be away; its own checks end the statement then.
            log_event(_LOGGER, "database_unavailable", "could not cancel a statement", error=str(error))
        raw.close()
    connection.close()
