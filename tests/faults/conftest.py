"""What the tests of faults in Postgres share: a server, and as much of a stack as these faults ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from harness.drivers.process.embedded import running_postgres
from harness.drivers.protocol import Stack


class OnlyPostgres:
    """A stack that knows its Postgres and nothing else."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def dsn(self) -> str:
        return self._dsn


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The DSN of an empty Postgres."""
    with running_postgres() as postgres:
        yield postgres.dsn()


@pytest.fixture
def only_postgres(server: str) -> Stack:
    """The stack that has it."""
    return cast(Stack, OnlyPostgres(server))
