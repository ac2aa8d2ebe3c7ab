"""Chunks that are given up for good: how a row brings one about, and puts it back as an operator does."""

from __future__ import annotations

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


def redrive(x: Experiment, *, kind: str, target: str) -> int | None:
    """Put a batch, chunk or dead_letter back; how many were, None without an answer."""
    return x.fleet.redrive(kind=kind, target=target, operator_token=OPERATOR_TOKEN)
