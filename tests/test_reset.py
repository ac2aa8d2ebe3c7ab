"""A reset that cannot be done says so in one way, whichever of the stack's three parts fails."""

from __future__ import annotations

from typing import cast
from unittest.mock import MagicMock

import httpx
import psycopg
import pytest
import redis

from harness.drivers.protocol import Stack
from harness.drivers.reset import reset
from harness.errors import LabError

PARTS = ((psycopg, "connect"), (redis.Redis, "from_url"), (httpx, "Client"))


@pytest.mark.parametrize(
    ("part", "trouble"),
    [
        (0, psycopg.OperationalError("it is busy")),
        (1, redis.ConnectionError("it is busy")),
        (2, httpx.ConnectError("it is busy")),
    ],
    ids=["postgres", "redis", "receiver"],
)
def test_what_fails_is_an_error_of_the_lab(part: int, trouble: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (library, connect) in enumerate(PARTS):
        monkeypatch.setattr(library, connect, MagicMock(side_effect=trouble if number == part else None))
    stack = MagicMock()
    stack.name = "lab-1"
    with pytest.raises(LabError, match=r"lab-1 could not be reset: .*it is busy"):
        reset(cast(Stack, stack))
