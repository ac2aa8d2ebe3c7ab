"""How the lab reaches the two stores of a stack, and whether they answer; the same for both drivers."""

from __future__ import annotations

from typing import Final

import psycopg
import redis

SUPERUSER: Final = "postgres"
APP_ROLE: Final = "app"
APP_DATABASE: Final = "app"
POSTGRES_PROBE_TIMEOUT_S: Final = 2
REDIS_PROBE_TIMEOUT_S: Final = 1.0


def postgres_url(*, port: int, password: str, role: str = SUPERUSER, database: str = APP_DATABASE) -> str:
    """A connection URL on loopback, good for libpq and for Django alike."""
    return f"postgresql://{role}:{password}@127.0.0.1:{port}/{database}"


def redis_url(*, port: int, password: str) -> str:
    """A connection URL on loopback, for database 0."""
    return f"redis://:{password}@127.0.0.1:{port}/0"


def postgres_answers(url: str) -> bool:
    """Whether a new session can run a query; bounded to a few seconds."""
    try:
        with psycopg.connect(
            url,
            connect_timeout=POSTGRES_PROBE_TIMEOUT_S,
            application_name="lab:probe",
            options="-c statement_timeout=2000",
        ) as session:
            return session.execute("select 1").fetchone() == (1,)
    except psycopg.Error:
        return False


def redis_answers(url: str) -> bool:
    """Whether it answers a ping within a second (not while it loads its AOF)."""
    with redis.Redis.from_url(
        url, socket_timeout=REDIS_PROBE_TIMEOUT_S, socket_connect_timeout=REDIS_PROBE_TIMEOUT_S
    ) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
