"""A round of play: what heal names, and the command that brings the same phones again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from typer.main import get_command

from harness.cli import build
from harness.drivers.protocol import Stack
from harness.experiment.harm import Harm
from harness.faults.process import KillReplica
from harness.play.round import Order, Round
from tests.play.test_kill_watch import Double

ORDER = Order(driver="processes", phones=2, samples=300, pace_s=0.05, seed=7)


def test_heal_names_what_was_on_the_last_first() -> None:
    harm = Harm(stack=cast(Stack, Double()), say=lambda _: None)
    experiment = SimpleNamespace(harm=harm, heal_all=harm.heal_all)
    played = cast(Round, SimpleNamespace(see_kills=lambda: None, _x=experiment))
    harm.heal(harm.inject(KillReplica("redis")))
    for name in ("worker-1", "worker-2"):
        harm.inject(KillReplica(name))
    assert Round.heal(played) == {"healed": ["kill_worker(worker-2)", "kill_worker(worker-1)"]}
    assert Round.heal(played) == {"healed": []}


def test_the_command_that_replays_a_round_asks_for_the_same() -> None:
    words = ORDER.replay(driver="processes").split()
    command = get_command(build()).commands["up"]  # type: ignore[attr-defined]  # `lab` is a group
    asked = command.make_context("up", words[2:]).params
    assert Order(**{("pace_s" if name == "pace" else name): value for name, value in asked.items()}) == ORDER
