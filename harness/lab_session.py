"""The lab's own sessions in Postgres: past the links, named, and bound by none of the timeouts of the app's role."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from harness.errors import LabError

NAME: Final = "chaoslab"
CONNECT_TIMEOUT_S: Final = 20
"""Long: a crowded machine is no reason to end a run."""
STATEMENT_TIMEOUT_S: Final = 20
_OPTIONS: Final = (
    f"-c synchronous_commit=local -c statement_timeout={STATEMENT_TIMEOUT_S * 1000} "
    "-c idle_in_transaction_session_timeout=0 -c transaction_timeout=0"
)

LabSession = psycopg.Connection[tuple[Any, ...]]


def lab_session(dsn: str, *, autocommit: bool = True) -> LabSession:
    """A session that commits locally, and that the server ends neither when it idles nor when it takes its time.

    Raises: LabError when Postgres cannot be reached.
    """
    try:
        return psycopg.connect(
            dsn, autocommit=autocommit, application_name=NAME, options=_OPTIONS, connect_timeout=CONNECT_TIMEOUT_S
        )
    except psycopg.OperationalError as error:
        raise LabError(f"the lab's own session could not reach Postgres: {error}") from error
