"""Expiries: whatever stays in Redis for ever is named."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.checkers import expiries
from tests.checkers.world import World


def test_keys_that_never_expire(world: World) -> None:
    assert expiries.check(world.evidence()) == ()
    keys = ["backend:rate:device:1:29743200", "backend:rate:device:2:29743200"]
    for key in keys:
        world.add("immortal_keys", key=key)
    found = expiries.check(world.evidence())
    assert [(each.kind, each.ids["key"]) for each in found] == [(Kind.UNBOUNDED, key) for key in keys]
