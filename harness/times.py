"""The table of times: what a stack runs with, whether their order holds, and every deadline computed from them.

A field is the environment variable of the same name in capitals; the defaults are production's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Final

SLACK: Final = 3.0
"""How many times slower than the same phase of the control a scenario may be before it counts as late."""
MOST_CROWDING: Final = 8.0
"""A machine that has become more crowded than this since the control gets no more time."""
REDELIVERY_CADENCE_S: Final = 100.0
"""kombu looks for messages to restore every ten seconds and does it every tenth time."""
HOLD_MARGIN_S: Final = 1.0
"""What must be left of the lock timeout when a tripwire lets go: the parked statement still has to finish."""


class Recovery(StrEnum):
    """What a scenario does to the holder of a claim; it decides how soon another may take the work over."""

    NONE = "none"
    HOLDER_DIED = "holder_died"
    HOLDER_CUT_OFF = "holder_cut_off"
    STORE_AWAY = "store_away"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """All times of one stack, in seconds."""

    chunk_soft_limit_s: float = 45.0
    chunk_hard_limit_s: float = 60.0
    claim_timeout_s: float = 75.0
    client_check_interval_s: float = 5.0
    sweep_interval_s: float = 15.0
    visibility_timeout_s: float = 600.0
    soft_shutdown_s: float = 90.0
    stop_timeout_s: float = 120.0
    chunk_retry_delays_s: tuple[float, ...] = (30.0, 90.0, 270.0)
    publish_bound_s: float = 2.0
    broker_connect_timeout_s: float = 5.0
    broker_read_timeout_s: float = 5.0
    statement_timeout_s: float = 30.0
    lock_timeout_s: float = 20.0
    idle_in_transaction_timeout_s: float = 30.0
    beat_lease_s: float = 15.0
    beat_renew_s: float = 5.0
    overdue_s: float = 60.0
    reminder_interval_s: float = 30.0

    def as_env(self) -> dict[str, str]:
        """The environment block that sets exactly these times."""
        return {each.name.upper(): _rendered(getattr(self, each.name)) for each in fields(self)}

    def changed_by(self, env: Mapping[str, str]) -> Times:
        """These times with what an environment block says otherwise; other variables are ignored."""
        known = {each.name.upper(): each.name for each in fields(self)}
        changes = {known[name]: _parsed(known[name], text) for name, text in env.items() if name in known}
        return replace(self, **changes)  # type: ignore[arg-type]  # a field's type follows from its name in _parsed

    def as_json(self) -> dict[str, float | list[float]]:
        """For the report: variable name to seconds."""
        values = ((each.name.upper(), getattr(self, each.name)) for each in fields(self))
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values}


LAB: Final = Times(
    chunk_soft_limit_s=8.0,
    chunk_hard_limit_s=9.0,
    claim_timeout_s=10.0,
    client_check_interval_s=0.5,
    sweep_interval_s=1.0,
    visibility_timeout_s=20.0,
    soft_shutdown_s=2.0,
    stop_timeout_s=5.0,
    chunk_retry_delays_s=(1.0, 2.0, 4.0),
    publish_bound_s=1.0,
    broker_connect_timeout_s=1.0,
    broker_read_timeout_s=2.0,
    statement_timeout_s=8.0,
    lock_timeout_s=7.0,
    idle_in_transaction_timeout_s=9.0,
    beat_lease_s=3.0,
    beat_renew_s=1.0,
    overdue_s=5.0,
    reminder_interval_s=1.0,
)


def order_problems(times: Times, *, hold_s: float = 0.0) -> tuple[str, ...]:
    """What is wrong with the order of these times; empty when it holds. `hold_s` is how long a tripwire will hold."""
    order = (
        ("tripwire hold + margin", hold_s + HOLD_MARGIN_S if hold_s else 0.0, "lock timeout", times.lock_timeout_s),
        ("lock timeout", times.lock_timeout_s, "idle-in-transaction timeout", times.idle_in_transaction_timeout_s),
        ("idle-in-transaction timeout", times.idle_in_transaction_timeout_s, "claim timeout", times.claim_timeout_s),
        ("claim timeout", times.claim_timeout_s, "visibility timeout", times.visibility_timeout_s),
        ("chunk soft limit", times.chunk_soft_limit_s, "chunk hard limit", times.chunk_hard_limit_s),
        ("chunk hard limit", times.chunk_hard_limit_s, "claim timeout", times.claim_timeout_s),
        ("soft shutdown window + 1 s", times.soft_shutdown_s + 1.0, "stop timeout", times.stop_timeout_s),
        ("beat renewal", times.beat_renew_s, "beat lease", times.beat_lease_s),
    )
    return tuple(
        f"{short}, {low:g} s, must be below {long}, {high:g} s" for short, low, long, high in order if low >= high
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What the control of this run needed: seconds of work and of quiescing for so many acknowledged samples.

    `stretch` is how crowded the machine was meanwhile (harness/experiment/contention.py).
    """

    work_s: float
    quiesce_s: float
    samples: int
    stretch: float = 1.0

    def allowance_s(self, samples: int, *, stretch: float = 1.0) -> float:
        """How long this many samples may take on this machine now: slack × the control's own time, in proportion.

        Never less than the slack times a quarter of the control's time: starting costs the same for few samples.
        Longer by as much as the machine is more crowded now (`stretch`) than during the control.
        """
        share = max(0.25, samples / max(1, self.samples))
        return SLACK * self.whole_s * share * self.crowding(stretch)

    @property
    def whole_s(self) -> float:
        """What the control took from its first sample until nothing was in flight."""
        return self.work_s + self.quiesce_s

    def crowding(self, stretch: float) -> float:
        """How many times more crowded the machine is than it was during the control; between 1 and MOST_CROWDING."""
        return min(MOST_CROWDING, max(1.0, stretch / self.stretch))


def crowding_of(pace: Pace | None, stretch: float) -> float:
    """How crowded the machine is, compared with the control; before there was one, with an idle machine."""
    return (pace or Pace(work_s=0.0, quiesce_s=0.0, samples=0)).crowding(stretch)


def takeover_s(times: Times, recovery: Recovery) -> float:
    """From the fault's end to the moment when another worker may hold the work: claim freed, seen by a sweep."""
    match recovery:
        case Recovery.NONE:
            return 0.0
        case Recovery.HOLDER_DIED:
            return times.client_check_interval_s + 2 * times.sweep_interval_s
        case Recovery.HOLDER_CUT_OFF:
            return times.claim_timeout_s + 2 * times.sweep_interval_s
        case Recovery.STORE_AWAY:
            reconnect_s = times.broker_connect_timeout_s + 2 * times.broker_read_timeout_s + times.publish_bound_s
            return reconnect_s + times.claim_timeout_s + 2 * times.sweep_interval_s


def tick_report_s(times: Times) -> float:
    """From when a tick was overtaken by a later one until it is reported: overdue, and then seen by a beat.

    That may first have to take the lease over, and looks once in a renewal.
    """
    return times.overdue_s + times.beat_lease_s + 2 * times.beat_renew_s


def recovery_s(times: Times, recovery: Recovery, *, outage_s: float) -> float:
    """From the fault's end until work goes on everywhere: takeover + the back-off that an outage may have built up.

    Back-off doubles: it is at most the outage again, and one sweep.
    """
    backoff_s = 2 * outage_s + times.sweep_interval_s if outage_s else 0.0
    return takeover_s(times, recovery) + backoff_s


def quiesce_deadline_s(
    times: Times,
    recovery: Recovery,
    *,
    pace: Pace | None,
    samples: int,
    outage_s: float,
    due_s: float = 0.0,
    stretch: float = 1.0,
) -> float:
    """How long a stack may take, once healed, until nothing is in flight.

    `due_s` is how far ahead the phones' last reminders may lie. The deadline is that
    + the recovery + the control's own time with slack, longer where the machine is more crowded now (`stretch`).
    Without a control (the control itself) the bound is what the stack's limits allow: every chunk of 100 samples at its
    soft limit, on eight children, one after another.
    """
    if pace is None:
        return due_s + takeover_s(times, Recovery.HOLDER_CUT_OFF) + times.chunk_soft_limit_s * (samples / 100 / 8 + 1)
    return due_s + recovery_s(times, recovery, outage_s=outage_s) + pace.allowance_s(samples, stretch=stretch)


def _rendered(value: float | tuple[float, ...]) -> str:
    return ",".join(f"{each:g}" for each in value) if isinstance(value, tuple) else f"{value:g}"


def _parsed(field_name: str, text: str) -> float | tuple[float, ...]:
    if field_name == "chunk_retry_delays_s":
        return tuple(float(each) for each in text.split(","))
    return float(text)


# All phones of a lab have one address, where in the world each has its own.
LAB_ENV: Final[Mapping[str, str]] = {
    **LAB.as_env(),
    "REMAP_SIGTERM": "SIGQUIT",
    "ADDRESS_LIMIT_PER_MINUTE": "60000",
}
