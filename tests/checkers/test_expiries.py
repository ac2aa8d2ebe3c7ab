"""Expiries: whatever stays in Redis for ever is named."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.checkers import expiries
from tests.checkers.world import World


def test_a_key_that_never_expires(world: World) -> None:
    assert expiries.check(world.evidence()) == ()
    world.add("immortal_keys", key="backend:rate:device:1:29743200")
    [found] = expiries.check(world.evidence())
    assert (found.kind, found.ids) == (Kind.UNBOUNDED, {"key": "backend:rate:device:1:29743200"})
