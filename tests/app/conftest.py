"""Fixtures of the app's tests: a real Postgres and a real Redis, started once; tables emptied before each test.

The environment is set before Django is.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.app.environment import ENVIRONMENT, SERVERS
from tests.app.servers import running


def pytest_configure() -> None:
    """Set Django up before test modules import models; nothing connects yet."""
    os.environ.update(ENVIRONMENT)
    import django

    django.setup()


def pytest_unconfigure() -> None:
    """Give the port back, whether or not a test needed the servers."""
    SERVERS.redis_port.release()


@pytest.fixture(scope="session")
def stores() -> Iterator[None]:
    """Both servers, migrated."""
    from django.core.management import call_command
    from django.db import connection

    from tests.app.database import database_prepare

    with running(SERVERS):
        call_command("migrate_stack", verbosity=0)
        database_prepare()
        connection.close()  # role settings apply from the next connection on
        yield
        connection.close()


@pytest.fixture(autouse=True)
def _empty(request: pytest.FixtureRequest) -> None:
    """Empty tables and Redis before each test that uses `stores`; a test that needs neither starts neither."""
    if "stores" not in request.fixturenames:
        return
    request.getfixturevalue("stores")
    from tests.app.database import tables_empty

    tables_empty()
    with redis.Redis.from_url(SERVERS.redis_url) as client:
        client.flushall()


@pytest.fixture
def broker(stores: None) -> Iterator[redis.Redis]:
    """A client of the broker."""
    with redis.Redis.from_url(SERVERS.redis_url) as client:
        yield client


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which `tests.app.worker_tasks` leave their marks."""
    path = tmp_path / "marks"
    path.touch()
    monkeypatch.setenv("MARKS", str(path))
    return path
