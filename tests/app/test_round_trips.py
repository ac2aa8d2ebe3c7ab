"""What a chunk costs on the wire."""

import itertools
import tempfile
import uuid
from typing import Any
from unittest.mock import patch

import pytest

from healthkit.database import raw_connection
from healthkit.importing.chunk import Outcome, chunk_run
from tests.app.imports import batch, phone, sample

pytestmark = pytest.mark.usefixtures("stores")
MAX_ROUND_TRIPS = 10


def trips_of(batch_id: uuid.UUID, index: int) -> tuple[int, int]:
    """(round trips, statements executed) of one delivery, counted in libpq's own trace of the connection."""
    raw = raw_connection()
    with tempfile.TemporaryFile("w+") as trace:
        raw.pgconn.trace(trace.fileno())
        try:
            assert chunk_run(batch_id=batch_id, chunk_index=index, holder="x") is Outcome.DONE
        finally:
            raw.pgconn.untrace()
        trace.seek(0)
        fields = [line.split("\t") for line in trace.read().splitlines()]
    lines = [line for line in fields if len(line) > 3 and line[1] in ("F", "B")]  # a statement's text has lines too
    directions = [line[1] for line in lines]
    trips = sum(1 for before, after in itertools.pairwise(directions) if (before, after) == ("F", "B"))
    executed = sum(1 for line in lines if line[1] == "F" and line[3] in ("Execute", "Query"))
    return trips, executed


@pytest.mark.parametrize(
    ("samples", "trips"),
    [
        pytest.param([sample(minute) for minute in range(50)], 5, id="new samples"),
        pytest.param([sample(minute) for minute in range(50)] + [17, None], 5, id="and rejected ones"),
    ],
)
def test_round_trips_of_a_chunk(samples: list[Any], trips: int) -> None:
    """On a connection that has prepared its statements, as a worker's has from its second chunk on."""
    batch_id = batch(phone(), [[sample(59), 17], samples, [sample(58)]])
    with patch("healthkit.importing.chunk.chunk_publish"):
        chunk_run(batch_id=batch_id, chunk_index=0, holder="x")
        counted, executed = trips_of(batch_id, 1)
    assert executed <= MAX_ROUND_TRIPS
    assert counted == trips


def test_round_trips_of_the_costliest_chunk() -> None:
    """First of its sources, last of its batch, with rejected samples, a foreign type and an anchor to move."""
    samples = [sample(1), 17, sample(2, type="HKQuantityTypeIdentifierStepCount")]
    warming, measured = (batch(phone(), [samples], new_anchor="a1") for _ in range(2))
    chunk_run(batch_id=warming, chunk_index=0, holder="x")
    trips, _ = trips_of(measured, 0)
    assert trips == 8
    assert trips <= MAX_ROUND_TRIPS
