"""A12: a new HealthKit type is a row that is added while workers run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from harness.anomaly import Kind
from harness.demands.demands import await_state, is_held_up
from harness.demands.giving_up import redrive
from harness.experiment.experiment import Experiment
from harness.faults.held_rows import hold_users
from harness.faults.sample_types import HideType
from harness.rows.row import Load, row
from scenarios.defects import reimport_without_recompute, types_cached

SOME = Load(phones=4, samples=2_400, planted_phones=4, planted_samples=1_600)
UNKNOWN_TURN = 2
KNOWN_TURN = 3


@row(
    "A12",
    title="samples of a type that the app does not know; its row is added while workers run, and they are re-driven",
    load=SOME,
    defects=(
        types_cached.DEFECT.expecting(Kind.WRONGLY_IMPORTED),
        reimport_without_recompute.DEFECT.expecting(Kind.WRONG_AGGREGATE),
    ),
)
def test_a12_type_added(x: Experiment) -> None:
    """Kept as rejected, then imported whole by one re-drive, aggregates too; what comes after needs none.

    A re-drive is an import like any other: while another one of the same user is at work, it waits.
    """
    x.work()
    fleet = x.join_phones()
    type_ = max(fleet.plans[0].batches, key=lambda batch: len(batch.chunks)).type  # every pool child has met it
    hidden = x.inject(HideType(type_))
    fleet.sync_late(turn=UNKNOWN_TURN)
    batches = _ended(x, type_, turn=UNKNOWN_TURN)
    if x.faulted:
        _see_kept(x, batches)
    x.heal(hidden)
    if x.faulted:
        _redrive_twice(x, batches)
    fleet.sync_late(turn=KNOWN_TURN)
    if x.faulted:
        _see_nothing_kept(x, _ended(x, type_, turn=KNOWN_TURN))


def _ended(x: Experiment, type_: str, *, turn: int) -> list[str]:
    """The batches of that type and turn, once all have ended. Raises: Inconclusive when there are none."""
    of_turn = f"type_identifier = '{type_}' AND idempotency_key LIKE '%/b{turn}'"
    sql = f"SELECT id::text, finished_at IS NOT NULL FROM healthkit_import_batch WHERE {of_turn} ORDER BY id"

    def ended() -> list[str] | None:
        found = x.sql(sql)
        return [batch for batch, _ in found] if all(is_over for _, is_over in found) else None

    return await_state(x, ended, awaiting=f"batches of {type_} to end")


def _rejected(x: Experiment, batch: str) -> tuple[int, int]:
    """How many samples the batch brought, and how many of them are kept because nobody knew their type."""
    [found] = x.sql(
        "SELECT (SELECT sum(sample_count)::int FROM healthkit_import_chunk WHERE batch_id = b.id), "
        "(SELECT count(*) FROM healthkit_rejected_sample r JOIN healthkit_import_chunk c ON c.id = r.chunk_id "
        "WHERE c.batch_id = b.id AND r.reason = 'unknown_type' AND r.resolved_at IS NULL) "
        f"FROM healthkit_import_batch b WHERE b.id = '{batch}'"
    )
    return found[0], found[1]


def _see_kept(x: Experiment, batches: list[str]) -> None:
    for batch in batches:
        sent, kept = _rejected(x, batch)
        x.witness(f"samples of an unknown type in batch {batch}", sent)
        x.expect(
            sent == kept,
            otherwise=Kind.WRONGLY_IMPORTED,
            summary=f"of {sent} samples of a type without a row {kept} are kept as unknown_type",
            ids={"batch": batch},
        )


def _redrive_twice(x: Experiment, batches: list[str]) -> None:
    for turn, batch in enumerate(batches):
        [(chunks,)] = x.sql(
            "SELECT count(DISTINCT r.chunk_id) FROM healthkit_rejected_sample r JOIN healthkit_import_chunk c "
            f"ON c.id = r.chunk_id WHERE c.batch_id = '{batch}' AND r.resolved_at IS NULL"
        )
        first = _redrive_beside_import if turn == 0 else _redrive
        counts = [first(x, batch), _redrive(x, batch)]
        x.expect(
            counts == [chunks, 0],
            otherwise=Kind.WRONG_ANSWER,
            summary=f"re-driven twice, {counts} chunks were put right, expected {chunks} and 0",
            ids={"batch": batch},
        )
        _see_nothing_kept(x, [batch])


def _redrive(x: Experiment, batch: str) -> int | None:
    return redrive(x, kind="batch", target=batch)


def _redrive_beside_import(x: Experiment, batch: str) -> int | None:
    """Re-drive it while users' rows are held, as by imports of theirs; how many chunks were put right then."""
    held = x.inject(hold_users(), wait=False)
    assert held is not None  # only a run with faults keeps samples that could be re-driven
    with ThreadPoolExecutor(1, thread_name_prefix="operator") as operator:
        told = operator.submit(_redrive, x, batch)
        try:
            x.expect(
                is_held_up(x, held, told.done, awaiting="the re-drive at its user's row"),
                otherwise=Kind.WRONG_AGGREGATE,
                summary="a re-drive imported samples of a user while another import of the same user was at work: "
                "whichever ends last recomputes the day without the other",
                ids={"batch": batch},
            )
        finally:
            x.heal(held)
        return told.result()


def _see_nothing_kept(x: Experiment, batches: list[str]) -> None:
    for batch in batches:
        sent, kept = _rejected(x, batch)
        x.expect(
            not kept,
            otherwise=Kind.WRONGLY_REJECTED,
            summary=f"of {sent} samples of a type that has its row {kept} are still kept as unknown_type",
            ids={"batch": batch},
        )
