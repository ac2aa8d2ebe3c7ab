"""L: records are removed when their time is over, and what is synced again after that."""

from __future__ import annotations

from contextlib import suppress

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.demands.demands import is_held_up
from harness.demands.giving_up import given_up_within_s, redrive, refuse_sample
from harness.drivers.protocol import StackSpec
from harness.errors import Inconclusive, WaitTimeout
from harness.experiment.experiment import Experiment
from harness.experiment.harm import Live
from harness.faults.ageing import AgeBatch, AgeRecords
from harness.faults.held_rows import hold_users
from harness.rows.row import Load, row
from harness.tripwires.tripwire import Point
from scenarios.defects import days_closed_for_all, fingerprints_deleted

RETENTION_DAYS = 90
CLEANUP_INTERVAL_S = 1.0
RETENTION = {
    "CLEANUP_ENABLED": "true",
    "CLEANUP_INTERVAL_S": f"{CLEANUP_INTERVAL_S:g}",
    "RETENTION_DAYS": str(RETENTION_DAYS),
}
SMALL = {"CLEANUP_BATCH_SIZE": "500"}
CLEAN_UP = "clean-up-records"
"""The app's entry in the schedule."""
OTHER = 2
KEPT = {
    "records": "healthkit_data_record",
    "raw chunks": "healthkit_import_chunk WHERE samples <> ''",
    "fingerprints": "healthkit_record_fingerprint",
}
"""What is counted, and where."""
EMPTIED = (
    "SELECT id FROM healthkit_import_chunk WHERE samples = '' AND finished_at > now() - interval '1 day' ORDER BY id"
)
UNTOUCHED = f"""
SELECT a.id FROM healthkit_daily_aggregate a
JOIN accounts_user u ON u.id = a.user_id
JOIN healthkit_sample_type t ON t.id = a.type_id
JOIN healthkit_data_record r ON r.user_id = a.user_id AND r.type_id = a.type_id
  AND a.day = ((CASE WHEN t.kind = 'sleep' THEN r.end_at ELSE r.start_at END) AT TIME ZONE u.time_zone)::date
WHERE NOT a.closed GROUP BY a.id HAVING bool_and(r.id % {OTHER} <> 0) ORDER BY a.id
"""
"""Open days all of whose records have odd numbers."""
SYNC_TURN = 2
LATE_TURN = 3


@row(
    "L5",
    title="records of all users but one are past their retention and removed, then phones sync some of them again, and "
    "some for the first time",
    load=Load(phones=4, samples=3_000, planted_phones=4, planted_samples=1_600),
    spec=StackSpec(env={**RETENTION, **SMALL}),
    defects=(
        fingerprints_deleted.DEFECT.expecting(Kind.WRONG_AGGREGATE),
        days_closed_for_all.DEFECT.expecting(Kind.WRONGLY_REJECTED),
    ),
)
def test_l5_synced_again_after_cleaning(x: Experiment) -> None:
    """Records go, fingerprints and figures stay; what comes again resurrects nothing, what comes late is refused.

    What was stored since then stays until the last day of its time; raw chunks go and stay with the records, but for
    those of a chunk that was given up: it can be put back at any time. No user's records go while one of his imports
    is at work, and nobody's days are closed by the clean-up of another's.
    """
    x.may_clean = True
    point, refused = refuse_sample(x)
    fleet = x.join_phones(within_s=lambda: given_up_within_s(x))
    _see_given_up_kept(x, point, refused)
    held = x.inject(hold_users(), wait=False)
    records, _, _ = _kept(x)
    *aged, young = sorted({plan.user for plan in fleet.plans})
    x.inject(AgeRecords(RETENTION_DAYS + 10, but_user=_id_of(x, young)))
    _see_users_left_alone(x, held, records)
    if x.faulted:
        x.witness("records removed", _await_cleaned(x))
    fleet.sync_again(turn=SYNC_TURN)
    fleet.sync_late(turn=LATE_TURN, too_late=aged if x.faulted else ())
    if x.faulted:
        x.later.append(lambda: x.witness("late samples refused", _refused(x)))
        x.quiesce()
        _see_open(x, young)
        _see_kept(x)


def _see_open(x: Experiment, user: str) -> None:
    """Nothing of this user has been cleaned up, so none of his days is closed, however many of others' are."""
    of_user = (
        "FROM healthkit_import_batch b JOIN healthkit_import_chunk c ON c.batch_id = b.id "
        f"WHERE b.user_id = {_id_of(x, user)}"
    )
    [(late,)] = x.sql(f"SELECT count(*) {of_user} AND b.idempotency_key LIKE '%/b{LATE_TURN}' AND c.status = 'DONE'")
    x.witness("late uploads of a user whose days are open", late)
    [(refused,)] = x.sql(
        "SELECT count(*) FROM healthkit_rejected_sample r JOIN healthkit_import_chunk o ON o.id = r.chunk_id "
        f"WHERE r.reason = 'day_closed' AND o.id IN (SELECT c.id {of_user})"
    )
    x.expect(
        refused == 0,
        otherwise=Kind.WRONGLY_REJECTED,
        summary=f"{refused} samples of {user}, none of whose days has been closed, were rejected as too late",
        ids={"user": user},
    )


def _id_of(x: Experiment, user: str) -> int:
    found = x.sql(f"SELECT user_id FROM accounts_device WHERE device_key = '{user}/d0'")
    return int(found[0][0])


def _see_given_up_kept(x: Experiment, point: Point, refused: Live | None) -> None:
    """A chunk that was given up keeps its raw samples for longer than any retention, and is complete when re-driven."""
    if refused is None:
        return
    where = f"batch_id = '{point.batch_id}' AND chunk_index = {point.chunk_index}"
    ids = {"batch": point.batch_id, "chunk": str(point.chunk_index)}
    chunk = f"SELECT status, samples FROM healthkit_import_chunk WHERE {where}"
    given_up = x.sql(chunk)
    x.witness("a chunk that was given up", [status for status, samples in given_up if status == "FAILED" and samples])
    x.inject(AgeBatch(point.batch_id, RETENTION_DAYS + 10))
    _await_clean_ups(x)
    x.expect(
        x.sql(chunk) == given_up,
        otherwise=Kind.LOST,
        summary=f"chunk {point.chunk_index} was given up {RETENTION_DAYS + 10} days ago, and its raw samples are not "
        "there any more as they were",
        ids=ids,
    )
    x.heal(refused)
    redrive(x, kind="chunk", target=f"{point.batch_id}:{point.chunk_index}")
    try:
        wait_for(lambda: x.sql(chunk)[0][0] == "DONE", awaiting="the re-driven chunk", timeout_s=x.quiesce_deadline_s)
    except WaitTimeout as error:
        x.expect(False, otherwise=Kind.LATE, summary=f"re-driven, and not done: {error}", ids=ids)


def _see_users_left_alone(x: Experiment, held: Live | None, records: list[int]) -> None:
    """While an import holds its user's row, the clean-up waits: the import has seen which days are still open."""
    if held is None:
        return

    x.expect(
        is_held_up(x, held, lambda: _kept(x)[0] != records, awaiting="the clean-up at a user's row"),
        otherwise=Kind.WRONG_AGGREGATE,
        summary=f"{len(records) - len(_kept(x)[0])} records were removed while imports of their users were at work: "
        "their days closed under them",
        ids={"bound": "retention"},
    )
    _see_ticks_left_open(x)
    x.heal(held)


def _see_ticks_left_open(x: Experiment) -> None:
    """A clean-up that waits, or meets another one at work, has not done its work, and its tick is not done."""
    before = _clean_ups_done(x)
    x.hold(2 * CLEANUP_INTERVAL_S)
    done = _clean_ups_done(x) - before
    x.expect(
        done == 0,
        otherwise=Kind.WRONG_ACCOUNTING,
        summary=f"{done} ticks of {CLEAN_UP} were noted as done while no clean-up could do its work",
        ids={"entry": CLEAN_UP},
    )


def _await_cleaned(x: Experiment) -> str:
    """Wait for a whole clean-up, which leaves no record or raw chunk past its time; what is left, empty if some are."""
    past = f"< now() - interval '{RETENTION_DAYS} days'"
    old = (
        f"SELECT 1 FROM healthkit_data_record WHERE created_at {past} UNION ALL SELECT 1 FROM healthkit_import_chunk "
        f"WHERE status = 'DONE' AND samples <> '' AND finished_at {past} LIMIT 1"
    )
    with suppress(Inconclusive):  # if none ends, that is why they are still there
        _await_clean_ups(x)
    is_clean = not x.sql(old)
    x.expect(
        is_clean,
        otherwise=Kind.UNBOUNDED,
        summary=f"records or raw chunks past their {RETENTION_DAYS} days are still there after a whole clean-up",
        ids={"bound": "retention"},
    )
    if not is_clean:
        return ""
    left = x.sql(
        "SELECT (SELECT count(*) FROM healthkit_data_record), (SELECT count(*) FROM healthkit_record_fingerprint)"
    )
    return f"{left[0][0]} records and {left[0][1]} fingerprints are left"


def _see_kept(x: Experiment) -> None:
    """A day before their time is over, all records and raw chunks are left alone; then what is older goes, and only it.

    Every other one becomes older than the rest, so of each user some. Raises: Inconclusive with no clean-up.
    """
    before = _kept(x)
    for what, ids in zip(KEPT, before, strict=True):
        x.witness(f"{what} that are kept", ids)
    emptied = x.sql(EMPTIED)
    x.expect(
        not emptied,
        otherwise=Kind.LOST,
        summary=f"{len(emptied)} chunks were emptied on the day they were done; the retention is {RETENTION_DAYS} days",
        ids={"bound": "retention"},
    )
    x.inject(AgeRecords(RETENTION_DAYS - 1))
    _await_clean_ups(x)
    _expect_kept(x, before, what=f"all are {RETENTION_DAYS - 1} days old")
    untouched = {day for (day,) in x.sql(UNTOUCHED)}
    x.witness("days of which all records are kept", len(untouched))
    x.inject(AgeRecords(2, every=OTHER))
    x.witness("every other one removed", _await_cleaned(x))
    *aged, fingerprints = before
    young = [*([each for each in ids if each % OTHER] for ids in aged), fingerprints]
    _expect_kept(x, young, what=f"these are {RETENTION_DAYS - 1} days old, the others {RETENTION_DAYS + 1}")
    closed = untouched & {day for (day,) in x.sql("SELECT id FROM healthkit_daily_aggregate WHERE closed")}
    x.expect(
        not closed,
        otherwise=Kind.WRONGLY_REJECTED,
        summary=f"{len(closed)} days were closed, and all their records are there: what comes late for them is refused",
        ids={"bound": "retention"},
    )


def _kept(x: Experiment) -> list[list[int]]:
    """The ids of all records, of all chunks whose raw samples are there, and of all fingerprints."""
    return [[id_ for (id_,) in x.sql(f"SELECT id FROM {each} ORDER BY id")] for each in KEPT.values()]


def _await_clean_ups(x: Experiment) -> None:
    """Of two that end from now on, the second began after the records had become old. Raises: Inconclusive."""
    ran = _clean_ups_done(x)
    try:
        wait_for(
            lambda: _clean_ups_done(x) >= ran + 2,
            awaiting="two clean-ups",
            timeout_s=x.quiesce_deadline_s,
            interval_s=0.2,
        )
    except WaitTimeout as error:
        raise Inconclusive(str(error)) from error


def _clean_ups_done(x: Experiment) -> int:
    [(done,)] = x.sql(f"SELECT count(*) FROM scheduling_tick WHERE entry = '{CLEAN_UP}' AND status = 'done'")
    return int(done)


def _expect_kept(x: Experiment, wanted: list[list[int]], *, what: str) -> None:
    for kind, kept, left in zip(KEPT, wanted, _kept(x), strict=True):
        x.expect(
            left == kept,
            otherwise=Kind.LOST,
            summary=f"of {len(kept)} {kind} to be kept {len(left)} are left; {what}, and the retention is "
            f"{RETENTION_DAYS} days",
            ids={"bound": "retention"},
        )


def _refused(x: Experiment) -> str:
    """How many samples were kept aside because they came too late; empty when none was."""
    count = x.sql("SELECT count(*) FROM healthkit_rejected_sample WHERE reason = 'day_closed'")[0][0]
    return f"{count} samples for closed days" if count else ""
