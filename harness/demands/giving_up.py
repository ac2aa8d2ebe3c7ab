"""Chunks that are given up for good: how a row brings one about, and puts it back as an operator does."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.drivers.env_block import OPERATOR_TOKEN
from harness.errors import Inconclusive
from harness.experiment.experiment import Experiment
from harness.experiment.harm import Live
from harness.faults.database import RefuseSample
from harness.tripwires.aim import point_of, targets
from harness.tripwires.tripwire import Point


def refuse_sample(x: Experiment, *, is_whole: bool = False) -> tuple[Point, Live | None]:
    """Begin, with one sample that Postgres will not take, and with it its chunk; `is_whole`: its whole batch.

    Raises: Inconclusive when no phone has such a batch.
    """
    aims = targets(x.fleet.plans, rng=x.rng, is_whole=is_whole)
    if not aims:
        raise Inconclusive("no phone sends a batch of a single chunk")
    aim = aims[0]
    refused = x.inject(RefuseSample(str(aim.sample.uuid)))
    x.work()
    return point_of(x.stack.dsn(), aim), refused


def given_up_within_s(x: Experiment) -> float:
    """How long a chunk that cannot be imported may be tried again: the waits between, a sweep after each, and then as
    long as anything that has to become quiet."""
    delays_s = x.times.chunk_retry_delays_s
    return sum(delays_s) + len(delays_s) * x.times.sweep_interval_s + x.quiesce_deadline_s()


def redrive(x: Experiment, *, kind: str, target: str) -> int | None:
    """Put a batch, chunk or dead_letter back; how many were, None without an answer."""
    return x.fleet.redrive(kind=kind, target=target, operator_token=OPERATOR_TOKEN)


def open_letters(x: Experiment, point: Point) -> list[int]:
    """The ids of this chunk's dead letters that wait for somebody."""
    found = x.sql(
        "SELECT d.id FROM healthkit_dead_letter d JOIN healthkit_import_chunk c ON c.id = d.chunk_id WHERE "
        f"c.batch_id = '{point.batch_id}' AND c.chunk_index = {point.chunk_index} AND d.redriven_at IS NULL "
        "ORDER BY d.id"
    )
    return [int(letter) for (letter,) in found]


def expect_open_letters(x: Experiment, point: Point, count: int) -> None:
    """So many dead letters of this chunk wait for somebody."""
    found = open_letters(x, point)
    x.expect(
        len(found) == count,
        otherwise=Kind.SILENT,
        summary=f"{len(found)} dead letters of chunk {point.chunk_index} are open, expected {count}",
        ids={"batch": point.batch_id, "chunk": str(point.chunk_index)},
    )
