"""W9 and A10: a chunk that is given up for good, and put back."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.demands.claims import lines_about
from harness.demands.demands import await_state, expect_alarm, expect_counted, expect_loud
from harness.demands.giving_up import expect_open_letters, given_up_within_s, redrive, refuse_sample
from harness.errors import Inconclusive, WaitTimeout
from harness.experiment.experiment import Experiment
from harness.experiment.health import import_problems
from harness.rows.row import Load, row
from harness.times import LAB
from harness.tripwires.tripwire import Point
from harness.witness import claim_history
from scenarios.defects import data_errors_swallowed, redrive_only_noted

SOME = Load(phones=6, samples=6_000, planted_phones=4, planted_samples=2_400)
EXECUTIONS = 1 + len(LAB.chunk_retry_delays_s)


@row(
    "W9",
    title="one chunk raises every time",
    defects=(data_errors_swallowed.DEFECT.expecting(Kind.LOST),),
)
def test_w9_chunk_raises(x: Experiment) -> None:
    """Four executions, then FAILED and loud; every other chunk of its batch runs once. Re-driven, it is complete."""
    point, refused = refuse_sample(x)
    if refused is None:
        return
    _see_given_up(x, point)
    expect_counted(x, "app_tasks_finished_total", "failed,healthkit.import_chunk")
    x.heal(refused)
    redrive(x, kind="chunk", target=f"{point.batch_id}:{point.chunk_index}")


@row(
    "A10",
    title="a given-up chunk is re-driven while it still fails, then twice, then its dead letters",
    load=SOME,
    defects=(redrive_only_noted.DEFECT.expecting(Kind.GIVEN_UP),),
)
def test_a10_redriven_twice(x: Experiment) -> None:
    """Given up again, it alarms again. Then it is put back once, has one effect, and every call leaves an audit row."""
    point, refused = refuse_sample(x)
    if refused is None:
        return
    _see_given_up(x, point)
    target = f"{point.batch_id}:{point.chunk_index}"
    counts = [redrive(x, kind="chunk", target=target)]
    x.expect(
        import_problems(x.stack).get_any(("dead_letters",)) is None,
        otherwise=Kind.FALSE_ALARM,
        summary="the only dead letter was put back, and the alarm goes on",
        ids={"code": "dead_letters"},
    )
    _see_given_up_again(x, point)
    x.heal(refused)
    letters = x.sql(
        "SELECT d.id FROM healthkit_dead_letter d JOIN healthkit_import_chunk c ON c.id = d.chunk_id "
        f"WHERE c.batch_id = '{point.batch_id}' AND c.chunk_index = {point.chunk_index}"
    )
    x.witness("dead letters of the chunk", letters)
    counts += [redrive(x, kind="chunk", target=target) for _ in range(2)]
    counts += [redrive(x, kind="dead_letter", target=str(letter)) for (letter,) in letters]
    x.expect(
        counts == [1, 1, 0, 0, 0],
        otherwise=Kind.WRONG_ANSWER,
        summary=f"re-driven in vain, then twice, then by its two dead letters: {counts} put back, expected 1, 1 and "
        "0 three times",
        ids={"batch": point.batch_id, "chunk": str(point.chunk_index)},
    )
    ids = ", ".join(f"'{letter}'" for (letter,) in letters) or "NULL"
    audited = x.sql(
        "SELECT redriven_count FROM healthkit_redrive "
        f"WHERE target = '{target}' OR (kind = 'dead_letter' AND target IN ({ids})) ORDER BY id"
    )
    x.expect(
        [count for (count,) in audited] == counts,
        otherwise=Kind.SILENT,
        summary=f"{len(counts)} re-drives left the audit rows {audited}, told {counts}",
        ids={"batch": point.batch_id, "chunk": str(point.chunk_index)},
    )


def _see_given_up(x: Experiment, point: Point) -> None:
    """Wait for the chunk's end and its batch's; it must have FAILED after so many executions, and loudly."""
    where = {"batch": point.batch_id, "chunk": str(point.chunk_index)}
    sql = (
        "SELECT status, failed_count FROM healthkit_import_batch "
        f"WHERE id = '{point.batch_id}' AND finished_at IS NOT NULL"
    )
    try:
        wait_for(lambda: x.sql(sql), awaiting="the batch's end", timeout_s=lambda: given_up_within_s(x), interval_s=0.2)
    except WaitTimeout as error:
        late: WaitTimeout | None = error
    else:
        late = None
    history = claim_history(x.stack.dsn(), batch_id=point.batch_id, chunk_index=point.chunk_index)
    x.witness("the chunk's end while its sample was refused", history)
    status, executions = history["status"], history["executions"]
    if late is not None and (status == "FAILED" or int(executions) < EXECUTIONS):
        raise Inconclusive(f"{late}; the chunk is {status} after {executions} executions") from late
    x.expect(
        (status, executions) == ("FAILED", str(EXECUTIONS)),
        otherwise=Kind.WRONG_ACCOUNTING,
        summary=f"the chunk is {status} after {executions} executions, not FAILED after {EXECUTIONS}",
        ids=where,
    )
    if late is not None:
        return
    x.expect(
        x.sql(sql) == [("COMPLETED", 1)],
        otherwise=Kind.WRONG_ACCOUNTING,
        summary=f"the batch is {x.sql(sql)} (status, failed chunks), not COMPLETED with one",
        ids=where,
    )
    _see_waits(x, point)
    expect_loud(x, "log:chunk_failed", names=(point.batch_id,))
    expect_alarm(x, "dead_letters")
    others = x.sql(f"SELECT chunk_index FROM healthkit_import_chunk WHERE batch_id = '{point.batch_id}'")
    for (index,) in others:
        x.executions[(point.batch_key, index)] = 1
    x.executions[(point.batch_key, point.chunk_index)] = EXECUTIONS + 1


def _see_given_up_again(x: Experiment, point: Point) -> None:
    """It is tried as often as the first time; then a dead letter is open, and alarms, as the first time."""
    ids = {"batch": point.batch_id, "chunk": str(point.chunk_index)}
    chunk = (
        f"SELECT 1 FROM healthkit_import_chunk WHERE batch_id = '{point.batch_id}' "
        f"AND chunk_index = {point.chunk_index}"
    )
    is_put_back = bool(x.sql(f"{chunk} AND (status <> 'FAILED' OR executions > {EXECUTIONS})"))
    x.expect(is_put_back, otherwise=Kind.GIVEN_UP, summary="re-driven, the chunk is FAILED as it was", ids=ids)
    if not is_put_back:
        return
    given_up = f"{chunk} AND status = 'FAILED' AND executions >= {2 * EXECUTIONS}"
    await_state(x, lambda: x.sql(given_up), awaiting="the chunk to be given up again")
    expect_open_letters(x, point, 1)
    expect_alarm(x, "dead_letters")
    x.executions[(point.batch_key, point.chunk_index)] = 2 * EXECUTIONS + 1


def _see_waits(x: Experiment, point: Point) -> None:
    """Between an execution and the next lies at least the wait that is configured for it: what failed may be fixed."""
    stamps = [datetime.fromisoformat(line["ts"]) for line in lines_about(x, point, "chunk_started")]
    waited_s = [(later - earlier).total_seconds() for earlier, later in pairwise(stamps)]
    delays_s = x.times.chunk_retry_delays_s
    x.expect(
        len(waited_s) == len(delays_s)
        and all(waited >= delay for waited, delay in zip(waited_s, delays_s, strict=True)),
        otherwise=Kind.WRONG_ACCOUNTING,
        summary=f"chunk {point.chunk_index} started again after {', '.join(f'{each:.1f}' for each in waited_s)} s, "
        f"not before {', '.join(f'{each:g}' for each in delays_s)} s",
        ids={"batch": point.batch_id, "chunk": str(point.chunk_index)},
    )
