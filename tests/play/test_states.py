"""The states of replicas over time: what is down shows at once, what is new is not called healthy before it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from harness.drivers.protocol import Process, Stack, State
from harness.evidence.states import StateWatch


@dataclass
class Double:
    """A stack of one worker and two stores; `asked` counts real health checks."""

    pids: dict[str, int] = field(default_factory=lambda: {"worker-1": 10, "redis": 20, "postgres": 30})
    letters: dict[str, str] = field(default_factory=dict)
    health: dict[str, State] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def replicas(self) -> tuple[str, ...]:
        return ("worker-1",)

    def processes(self, name: str) -> tuple[Process, ...]:
        pid = self.pids[name]
        return (Process(pid, 1, self.letters.get(name, "S"), "it"),) if pid else ()

    def state(self, name: str) -> State:
        self.asked.append(name)
        return self.health.get(name, State.HEALTHY)


def watch_of(double: Double) -> StateWatch:
    return StateWatch(cast(Stack, double))


def test_what_is_new_is_asked_until_it_is_healthy() -> None:
    double = Double(health={"worker-1": State.STARTING})
    watch = watch_of(double)
    assert [watch()["worker-1"] for _ in range(3)] == ["starting"] * 3
    double.health["worker-1"] = State.HEALTHY
    assert watch()["worker-1"] == "healthy"
    double.pids["worker-1"] = 11
    double.health["worker-1"] = State.STARTING
    assert watch()["worker-1"] == "starting"


def test_down_and_frozen_need_no_health_check() -> None:
    double = Double()
    watch = watch_of(double)
    watch()
    double.asked.clear()
    double.pids["worker-1"], double.letters["redis"] = 0, "T"
    seen = [watch() for _ in range(6)]
    assert {(one["worker-1"], one["redis"], one["postgres"]) for one in seen} == {("down", "frozen", "healthy")}
    assert set(double.asked) == {"postgres"}


def test_what_is_settled_is_asked_in_turn() -> None:
    double = Double()
    watch = watch_of(double)
    watch()
    double.asked.clear()
    for _ in range(6):
        watch()
    assert sorted(double.asked) == ["postgres", "postgres", "redis", "redis", "worker-1", "worker-1"]


def test_a_replica_that_turns_unhealthy_is_seen_within_a_round() -> None:
    double = Double()
    watch = watch_of(double)
    watch()
    double.health["worker-1"] = State.UNHEALTHY
    assert "unhealthy" in [watch()["worker-1"] for _ in range(3)]
