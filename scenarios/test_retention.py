"""L: records are removed when their time is over, and what is synced again after that."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.devices.runner import Fleet
from harness.drivers.protocol import StackSpec
from harness.errors import Inconclusive, WaitTimeout
from harness.experiment import Experiment
from harness.faults.ageing import AgeRecords
from harness.row import Load, row
from scenarios.defects import fingerprints_deleted

RETENTION_DAYS = 90
RETENTION = {"CLEANUP_ENABLED": "true", "CLEANUP_INTERVAL_S": "1", "RETENTION_DAYS": str(RETENTION_DAYS)}
SMALL = {"CLEANUP_BATCH_SIZE": "500"}
CLEAN_UP = "clean-up-records"
"""The app's entry in the schedule."""
SYNC_TURN = 2
LATE_TURN = 3


@row(
    "L5",
    title="records past their retention are removed, then phones sync some of them again, and some for the first time",
    load=Load(phones=4, samples=3_000, planted_phones=4, planted_samples=1_600),
    spec=StackSpec(env={**RETENTION, **SMALL}),
    defects=(fingerprints_deleted.DEFECT.expecting(Kind.WRONG_AGGREGATE),),
)
def test_l5_synced_again_after_cleaning(x: Experiment) -> None:
    """Records go, fingerprints and figures stay; what comes again resurrects nothing, what comes late is refused.

    What was stored since then stays until the last day of its time.
    """
    x.may_clean = True
    x.work()
    if not isinstance(x.fleet, Fleet):
        raise Inconclusive("only the lab's own phones can be told to sync again")
    x.fleet.join(timeout_s=x.quiesce_deadline_s)
    x.inject(AgeRecords(RETENTION_DAYS + 10))
    if x.faulted:
        x.witness("records removed", _await_cleaned(x))
    x.fleet.sync_again(turn=SYNC_TURN)
    x.fleet.sync_late(turn=LATE_TURN, is_closed=x.faulted)
    if x.faulted:
        x.later.append(lambda: x.witness("late samples refused", _refused(x)))
        x.quiesce()
        _see_kept(x)


def _await_cleaned(x: Experiment) -> str:
    """Wait until no record past its time is left; what is left, and empty when some still are at the deadline."""
    old = f"SELECT 1 FROM healthkit_data_record WHERE created_at < now() - interval '{RETENTION_DAYS} days' LIMIT 1"
    try:
        wait_for(
            lambda: not x.sql(old),
            awaiting="records past their time to be removed",
            timeout_s=x.quiesce_deadline_s,
            interval_s=0.2,
        )
    except WaitTimeout as error:
        x.expect(
            False,
            otherwise=Kind.UNBOUNDED,
            summary=f"records past their {RETENTION_DAYS} days are still there: {error}",
            ids={"bound": "retention"},
        )
        return ""
    left = x.sql(
        "SELECT (SELECT count(*) FROM healthkit_data_record), (SELECT count(*) FROM healthkit_record_fingerprint)"
    )
    return f"{left[0][0]} records and {left[0][1]} fingerprints are left"


def _see_kept(x: Experiment) -> None:
    """A day before their time is over, records and raw chunks are left alone. Raises: Inconclusive with no clean-up."""
    kept = (
        "SELECT (SELECT count(*) FROM healthkit_data_record), "
        "(SELECT count(*) FROM healthkit_import_chunk WHERE samples <> '')"
    )
    [before] = x.sql(kept)
    x.witness("records that are kept", before[0])
    x.inject(AgeRecords(RETENTION_DAYS - 1))
    done = f"SELECT count(*) FROM scheduling_tick WHERE entry = '{CLEAN_UP}' AND status = 'done'"
    [(ran,)] = x.sql(done)
    try:
        # Of two that end from now on, the second began after the records had become old.
        wait_for(
            lambda: x.sql(done)[0][0] >= ran + 2,
            awaiting="two clean-ups",
            timeout_s=x.quiesce_deadline_s,
            interval_s=0.2,
        )
    except WaitTimeout as error:
        raise Inconclusive(str(error)) from error
    [after] = x.sql(kept)
    x.expect(
        before == after,
        otherwise=Kind.LOST,
        summary=f"of {before[0]} records and {before[1]} raw chunks that are {RETENTION_DAYS - 1} days old "
        f"{after[0]} and {after[1]} are left; they are to be kept for {RETENTION_DAYS} days",
        ids={"bound": "retention"},
    )


def _refused(x: Experiment) -> str:
    """How many samples were kept aside because they came too late; empty when none was."""
    count = x.sql("SELECT count(*) FROM healthkit_rejected_sample WHERE reason = 'day_closed'")[0][0]
    return f"{count} samples for closed days" if count else ""
