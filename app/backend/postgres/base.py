"""Connections to Postgres that name their process and never wait for ever.

Two things cannot be said in Django's settings:

- `application_name` carries the process id, which is only right when it is read at connect, after any fork;
- a frozen server (or a black hole) answers nothing, and Postgres' own timeouts then never come: the client needs a
  bound of its own. It lies above the server's statement timeout, so that a server that lives speaks first.
"""

import os
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg import errors

from backend.env import config
from backend.postgres.gate import connect_gate
from backend.service import Service, current_replica, current_service

HEALTH_CHECK_BOUND_S = 2.0  # for the SELECT 1 that asks a kept connection whether it still works
ANSWER_FACTOR = 1.25  # of the statement timeout: how long a client waits for any answer


def answer_bound_s() -> float | None:
    """Seconds that this process waits for one answer; None for `migrate`, whose statements may take long."""
    if current_service() is Service.MIGRATE:
        return None
    return config().statement_timeout_s * ANSWER_FACTOR


def application_name() -> str:
    """`service:replica:pid` of this process, which is how a session in pg_stat_activity is told from the others."""
    return f"{current_service().value}:{current_replica()}:{os.getpid()}"


class BoundedConnection(psycopg.Connection[Any]):
    """Gives up on a server that does not answer, and closes: the fate of the statement is then unknown."""

    bound_s: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """See psycopg. Raises: `OperationalError` when no answer came within the bound."""
        bound_s = timeout if timeout is not None else self.bound_s
        try:
            return super().wait(gen, interval, bound_s)
        except errors._WaitTimeout as error:
            if timeout is not None:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer from Postgres within {bound_s} s: connection closed") from error


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's wrapper, opening `BoundedConnection`s."""

    def get_connection_params(self) -> dict[str, Any]:
        """Django's parameters with the name of this very process."""
        params: dict[str, Any] = super().get_connection_params()
        params["application_name"] = application_name()
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> BoundedConnection:
        """As Django's without its pool, which the app does not use (it would be shared across forks)."""
        self.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        with connect_gate.attempt():
            connection = BoundedConnection.connect(**conn_params)
        connection.bound_s = answer_bound_s()
        return connection

    def is_usable(self) -> bool:
        """As Django's, but a server that is frozen is found out quickly: reconnecting takes its own time besides."""
        kept = self.connection
        if kept is None:
            return False
        bound_s, kept.bound_s = kept.bound_s, HEALTH_CHECK_BOUND_S
        try:
            return bool(super().is_usable())
        finally:
            kept.bound_s = bound_s
