"""What rows demand beyond the invariants: of a parked chunk, of loudness, of health. Each adds to the experiment.

Demands about the end state are noted now and held against the rows after quiesce (`Experiment.later`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.demands.claims import expect_freed, lines_about, over_at
from harness.drivers.protocol import State
from harness.drivers.service_health import CHECK_TIMEOUT_S
from harness.errors import Inconclusive, WaitTimeout
from harness.evidence.broker_view import connect
from harness.evidence.evidence import Bound, LoudSignal
from harness.experiment.experiment import Experiment
from harness.experiment.harm import Live
from harness.experiment.health import counted
from harness.times import REDELIVERY_CADENCE_S, recovery_s, takeover_s
from harness.tripwires.tripwire import Parked
from harness.witness import claim_history

T = TypeVar("T")
START_TIMEOUT_S = 30.0


def expect_loud(x: Experiment, *sources: str, names: Iterable[str] = ()) -> None:
    """One of these signals must first be heard after the latest fault's bite, and name one of these things.

    Of a fault that was done to the same target before, the first time counts.

    Sources as in LoudSignal: `log:<event>`, `health:<problem code>`, `metric:<name>`.
    """
    injected = x.harm.injected()
    if injected:
        in_time_s = x.times.overdue_s + 2 * x.times.sweep_interval_s + takeover_s(x.times, x.row.recovery)
        until_s = in_time_s * x.crowding()
        x.loud.append(LoudSignal(fault=injected[-1].label(), sources=sources, names=tuple(names), until_s=until_s))


def expect_alarm(x: Experiment, *codes: str, about: str = "") -> None:
    """Within *overdue* and two sweeps of the fault, /health/imports must name one of these problems, of `about`."""
    if not x.faulted:
        return
    bound_s = (x.times.overdue_s + 2 * x.times.sweep_interval_s + START_TIMEOUT_S / 3) * x.crowding()
    alarm = x.await_problem(codes, timeout_s=bound_s, about=about)
    x.expect(
        alarm is not None,
        otherwise=Kind.SILENT,
        summary=f"/health/imports named none of {', '.join(codes)}{about and f' about {about}'} within {bound_s:.0f} s",
    )
    x.witness(f"an alarm: {' or '.join(codes)}", str(alarm) if alarm else None)


def expect_counted(x: Experiment, name: str, label: str) -> None:
    """Within *overdue* and two sweeps /metrics must count at least one of these, where there was none."""
    if not x.faulted:
        return
    bound_s = (x.times.overdue_s + 2 * x.times.sweep_interval_s) * x.crowding()
    try:
        wait_for(
            lambda: counted(x.stack, name, label) >= 1,
            awaiting=f"{name}{{{label}}}",
            timeout_s=bound_s,
            interval_s=0.2,
        )
    except WaitTimeout as error:
        x.expect(False, otherwise=Kind.SILENT, summary=f"/metrics does not count it: {error}", ids={"metric": name})


def expect_alarm_of_each(x: Experiment, *codes: str) -> None:
    """Each of these problems must be named by /health/imports, and its metric rise, by the latest fault and not before.

    One code must not stand in for another: whoever is paged by one of them never hears of the others. Returns when the
    watch has noted them, too: the harm may end then.
    """
    for code in codes:
        expect_alarm(x, code)
        expect_loud(x, f"health:{code}")
        expect_loud(x, f"metric:app_problems{{{code}}}")
    if x.faulted:
        _await_noted(x, codes)


def await_watch(x: Experiment) -> None:
    """Wait until the watch has read the metrics: what was there before it looked has not risen."""
    await_state(x, lambda: x.watch.written.get("metrics"), awaiting="a first reading of the metrics")


def _await_noted(x: Experiment, codes: Iterable[str]) -> None:
    """Or for so long as that may take at most; what was never noted is for the checker to say."""

    def are_noted() -> bool:
        written = x.watch.written
        named = {problem["code"] for told in written.get("imports", {}).values() for problem in told["problems"]}
        told = written.get("metrics", {})
        return all(code in named and told.get(f"app_problems{{{code}}}", 0.0) >= 1 for code in codes)

    try:
        wait_for(
            are_noted, awaiting=f"the watch to note {', '.join(codes)}", timeout_s=x.times.overdue_s * x.crowding()
        )
    except WaitTimeout as error:
        x.phases.note(str(error))


def expect_executions(x: Experiment, parked: Parked, count: int) -> None:
    """This chunk ran exactly so often."""
    x.executions[(parked.point.batch_key, parked.point.chunk_index)] = count


def expect_taken_over(x: Experiment, parked: Parked) -> None:
    """In the end the chunk was executed more than once, free soon after the harm and done soon after that.

    By whichever worker: the one that was killed is back within a second or two, and may be the first to see to it.
    Soon: the takeover and what this run's control took in all, on a machine as crowded as this one is now; never as
    long as the message needs to come back by itself, or a missing sweeper would pass for a slow one.
    """
    expect_freed(x, parked)
    if x.faulted:
        x.later.append(lambda: _see_taken_over(x, parked))


def expect_start_line(x: Experiment, parked: Parked) -> None:
    """The log of the killed worker holds the line with which it started the chunk."""
    if not x.faulted:
        return
    lines = lines_about(x, parked.point, "chunk_started", replicas=(parked.replica,))
    x.expect(
        bool(lines),
        otherwise=Kind.SILENT,
        summary=f"the log of {parked.replica} does not show that it started chunk {parked.point.chunk_index}",
        ids={"batch": parked.point.batch_id, "chunk": str(parked.point.chunk_index)},
    )
    x.witness("start line of the killed chunk", lines[:1])


def expect_healthy(x: Experiment, replica: str, *, after: str) -> None:
    """The replica gets and stays up after this."""
    if not x.faulted:
        return
    try:
        wait_for(
            lambda: x.stack.state(replica) in (State.HEALTHY, State.DOWN),
            awaiting=f"{replica} to start",
            timeout_s=lambda: START_TIMEOUT_S * x.crowding(),
        )
    except WaitTimeout as error:
        x.phases.note(str(error))
    state = x.stack.state(replica)
    x.expect(
        state is State.HEALTHY,
        otherwise=Kind.CRASHED,
        summary=f"{replica} is {state.value} after {after}: {x.stack.exit_of(replica)}",
        ids={"service": replica},
    )


def await_fit(x: Experiment, replica: str) -> None:
    """Wait until the replica passes its own health check: what failed it before a fault says nothing of the fault."""
    await_state(x, lambda: x.stack.is_fit(replica), awaiting=f"{replica} to pass its health check")


def expect_unfit(x: Experiment, replica: str, *, bound_s: float) -> None:
    """Within `bound_s` the replica's own health check must say that it is not fit, though all its processes are there.

    The bound is what the check is told to tolerate; running it may take as long again as any check may. A check that
    merely takes too long says the same: so those of the other replicas must pass right after it.
    Raises: Inconclusive when they do not.
    """
    if not x.faulted:
        return
    others = [each for each in x.stack.replicas(replica.rpartition("-")[0]) if each != replica]
    is_unfit = False

    def is_unfit_alone() -> bool:
        nonlocal is_unfit
        is_unfit = not x.stack.is_fit(replica)
        return is_unfit and all(x.stack.is_fit(each) for each in others)

    begun = time.monotonic()
    try:
        wait_for(is_unfit_alone, awaiting=f"{replica} to fail its health check", timeout_s=bound_s + CHECK_TIMEOUT_S)
    except WaitTimeout as error:
        if is_unfit:
            raise Inconclusive(f"every {replica.rpartition('-')[0]} fails its health check: {error}") from error
        summary = f"{replica} passes its own health check {time.monotonic() - begun:.0f} s after it went dumb"
        x.expect(False, otherwise=Kind.SILENT, summary=summary, ids={"service": replica})
    else:
        x.recovery_s["unfit_after"] = time.monotonic() - begun
    there = [each.command for each in x.stack.processes(replica)]
    x.witness(f"processes of {replica} that were there all the while", there)


def is_held_up(x: Experiment, live: Live, has_happened: Callable[[], object], *, awaiting: str) -> bool:
    """Wait until harm shows that it holds something up, or until that has happened all the same; whether it does.

    Raises: Inconclusive when neither comes to be.
    """

    def bites() -> bool:
        return live.fault.has_bitten(before=live.before, now=live.fault.look(x.stack))

    await_state(x, lambda: has_happened() or bites(), awaiting=awaiting)
    if has_happened():
        return False
    x.await_bite(live)
    return True


def await_state(x: Experiment, probe: Callable[[], T | None], *, awaiting: str) -> T:
    """Wait until the probe finds something, and say what. Raises: Inconclusive when it does not in time."""
    try:
        return wait_for(probe, awaiting=awaiting, timeout_s=x.quiesce_deadline_s, interval_s=0.02)
    except WaitTimeout as error:
        raise Inconclusive(str(error)) from error


def await_imports(x: Experiment, *, of: Iterable[str] = ()) -> None:
    """Wait until imports are demonstrably being worked on: some chunk is done and its batch goes on.

    `of` names the phones (devices) whose imports are meant; all, if it names none.
    """
    devices = ", ".join(f"'{device}'" for device in of)
    sql = (
        "select 1 from healthkit_import_batch b join healthkit_import_chunk c on c.batch_id = b.id "
        "join accounts_device d on d.id = b.device_id "
        f"where b.finished_at is null and c.status = 'DONE'{f' and d.device_key in ({devices})' if devices else ''} "
        "limit 1"
    )
    await_state(x, lambda: x.sql(sql), awaiting="imports in flight")


def await_tick(x: Experiment) -> None:
    """Wait until the schedule runs: an entry that has had no tick yet cannot have missed any."""
    await_state(
        x, lambda: x.sql("select 1 from scheduling_tick where status = 'done' limit 1"), awaiting="a first tick"
    )


def await_waiting_messages(x: Experiment, *, at_least: int) -> dict[str, int] | None:
    """Wait until so many import messages wait in Redis; how many, and None in a run without faults."""
    if not x.faulted:
        return None
    client = connect(x.stack.redis_url())

    def waiting() -> int:
        length: Any = client.llen("default")
        return int(length)

    try:
        await_state(x, lambda: waiting() >= at_least, awaiting=f"{at_least} messages waiting in Redis")
        return {"default": waiting()}
    finally:
        client.close()


def _see_taken_over(x: Experiment, parked: Parked) -> None:
    history = claim_history(x.stack.dsn(), batch_id=parked.point.batch_id, chunk_index=parked.point.chunk_index)
    if history.get("status") != "DONE":
        return
    x.witness("the chunk was claimed again and done", history if int(history["executions"]) > 1 else None)
    soon_s = recovery_s(x.times, x.row.recovery, outage_s=x.outage_s) + x.control_s()
    x.bounds.append(
        Bound(
            name=f"chunk {parked.point.chunk_index} of batch {parked.point.batch_id}, done again,",
            kind=Kind.LATE,
            took_s=(datetime.fromisoformat(history["finished_at"]) - over_at(x)).total_seconds(),
            bound_s=min(soon_s, REDELIVERY_CADENCE_S),
            ids={"batch": parked.point.batch_id, "chunk": str(parked.point.chunk_index)},
        )
    )
