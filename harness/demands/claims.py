"""Claims: what rows demand of the holders of chunks. That a lost one is missed in time, and what that is counted as.

Like every demand about the end state, these are noted now and held against logs and rows after quiesce.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.errors import WaitTimeout
from harness.evidence.broker_view import connect, messages
from harness.evidence.evidence import Bound
from harness.experiment.experiment import Experiment
from harness.times import Recovery, takeover_s
from harness.tripwires.tripwire import Parked, Point

FREED = ("claim_taken_over", "chunk_released", "chunk_started")
"""What shows that a claim is free: that it was taken over or given back, or else that another had it."""
FREED_SHARE = 1 / 8
"""Of the control's time; half of it can be as long as the claim timeout."""


def expect_freed(x: Experiment, parked: Parked) -> None:
    """The chunk's claim was taken over or given back within a takeover of the harm, and one more sweep.

    That waits for no other work, as doing the chunk again does. So its bound can be far below the claim timeout, and a
    claim that merely expired does not pass for one whose holder was missed.
    """
    if x.faulted:
        x.later.append(lambda: _see_freed(x, parked))


def hold_until_freed(x: Experiment, parked: Parked) -> None:
    """Let the harm last until the chunk's claim is free, or twice the time for that is over.

    So no heal is what frees it in time, not even where the machine is found more crowded afterwards.
    """
    if not x.faulted:
        return
    try:
        wait_for(
            lambda: _freed_at(x, parked) is not None,
            awaiting="the claim of the dead to be free",
            timeout_s=lambda: 2 * _freed_bound_s(x),
        )
    except WaitTimeout as error:
        x.phases.note(str(error))


def expect_unacked(x: Experiment, parked: Parked) -> None:
    """While the chunk is in work its message must still be with the broker: who dies now leaves it behind."""
    if not x.faulted:
        return
    with connect(x.stack.redis_url()) as client:
        found = [
            each.message_id
            for each in messages(client)
            if each.place == "unacked" and (each.batch, each.index) == (parked.point.batch_id, parked.point.chunk_index)
        ]
    x.expect(
        bool(found),
        otherwise=Kind.LOST,
        summary=f"chunk {parked.point.chunk_index} is in work, and no message of it is unacked any more",
        ids={"batch": parked.point.batch_id, "chunk": str(parked.point.chunk_index)},
    )


def expect_backend_gone(x: Experiment, parked: Parked, *, within_s: float) -> None:
    """Postgres notices that the holder is gone although its statement still waits: it would go on blocking others."""
    if not x.faulted:
        return
    sql = f"SELECT state, wait_event FROM pg_stat_activity WHERE pid = {parked.backend_pid}"
    try:
        wait_for(lambda: not x.sql(sql), awaiting="the end of the holder's backend", timeout_s=within_s)
    except WaitTimeout:
        x.expect(
            False,
            otherwise=Kind.LATE,
            summary=f"the backend of {parked.replica} is {x.sql(sql)} {within_s:.1f} s after its client has ended",
            ids={"service": parked.replica, "batch": parked.point.batch_id},
        )


def expect_blameless(x: Experiment) -> None:
    """In the end no chunk counts the loss of a store against itself: it would be given up after a few such days.

    No data error at all, and no more interruptions than times that its claim was taken over: whoever is cut off from
    the store may lose the claim as well, and that is told.
    """
    if x.faulted:
        x.later.append(lambda: _see_blameless(x))


def lines_about(
    x: Experiment, point: Point, *events: str, replicas: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """What the logs of these replicas (None: of all workers) say about the chunk under these events, oldest first."""
    found = [
        line
        for replica in (x.stack.replicas("worker") if replicas is None else replicas)
        for text in x.stack.logs(replica)
        if point.batch_id in text
        and (line := _parsed(text)).get("event") in events
        and line.get("batch") == point.batch_id
        and line.get("chunk") == point.chunk_index
    ]
    return sorted(found, key=lambda line: str(line["ts"]))


def over_at(x: Experiment) -> datetime:
    """Since when the work could be taken over: the bite, or where a store was away its return."""
    harm = x.harm.injected()[-1]
    is_back = harm.healed_at if x.row.recovery is Recovery.STORE_AWAY else None
    return is_back or harm.bitten_at or harm.injected_at


def _freed_at(x: Experiment, parked: Parked) -> datetime | None:
    injected_at = x.harm.injected()[-1].injected_at
    stamps = [datetime.fromisoformat(line["ts"]) for line in lines_about(x, parked.point, *FREED)]
    return next((at for at in stamps if at > injected_at), None)


def _freed_bound_s(x: Experiment) -> float:
    """The share of the control's time is for a machine that is slow rather than crowded; ever well below a claim's."""
    soon_s = (takeover_s(x.times, x.row.recovery) + x.times.sweep_interval_s) * x.crowding()
    return soon_s + x.control_s() * FREED_SHARE


def _see_freed(x: Experiment, parked: Parked) -> None:
    freed_at = _freed_at(x, parked)
    if freed_at is None:
        return  # then nobody else did the chunk either, which is told as late or lost
    x.bounds.append(
        Bound(
            name=f"chunk {parked.point.chunk_index} of batch {parked.point.batch_id}, free for another,",
            kind=Kind.LATE,
            took_s=(freed_at - over_at(x)).total_seconds(),
            bound_s=_freed_bound_s(x),
            ids={"batch": parked.point.batch_id, "chunk": str(parked.point.chunk_index)},
        )
    )


def _see_blameless(x: Experiment) -> None:
    blamed = x.sql(
        "SELECT batch_id::text, chunk_index, interruptions, data_attempts FROM healthkit_import_chunk "
        "WHERE interruptions > 0 OR data_attempts > 0"
    )
    told = Counter(
        (line.get("batch"), line.get("chunk"))
        for replica in x.stack.replicas("worker")
        for text in x.stack.logs(replica)
        if "claim_taken_over" in text and (line := _parsed(text)).get("event") == "claim_taken_over"
    )
    for batch, chunk, interruptions, data_attempts in blamed:
        x.expect(
            interruptions <= told[batch, chunk] and not data_attempts,
            otherwise=Kind.WRONG_ACCOUNTING,
            summary=f"chunk {chunk} counts {interruptions} interruptions and {data_attempts} data errors; its claim "
            f"was taken over {told[batch, chunk]} times, and the loss of the store is not its fault",
            ids={"batch": batch, "chunk": str(chunk)},
        )


def _parsed(text: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}
