"""The ledger: one writer, whole lines, on disk when the call returns; and read back as evidence."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from harness.devices.generator import Shape, plans
from harness.evidence.files import load_ledger
from harness.evidence.tables import create_tables, open_tables
from harness.ledger import Attempt, Ledger, Op, Outcome, Tally


def an_op(number: int, *, outcome: Outcome = Outcome.OK, kind: str = "upload_chunk") -> Op:
    stamp = "2026-04-10T12:00:00+00:00"
    attempt = Attempt(at=stamp, ended=stamp, took_s=0.1, replica="api-1", outcome=outcome)
    return Op(op=f"d-{number}", kind=kind, user="u", device="d", outcome=outcome, attempts=(attempt,), batch_key="b",
              index=number, sample_count=10)  # fmt: skip


def write(ledger: Ledger, at: int) -> None:
    for number in range(50):
        ledger.op(an_op(at * 100 + number))


def test_lines_are_on_disk_at_once(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.op(an_op(1))
        assert json.loads((tmp_path / "ledger.jsonl").read_text())["op"] == "d-1"
        ledger.samples([b'{"sample": "s"}'])
        assert (tmp_path / "samples.jsonl").read_text() == '{"sample": "s"}\n'


def test_appends_to_what_is_there(tmp_path: Path) -> None:
    for number in (1, 2):
        with Ledger(tmp_path) as ledger:
            ledger.op(an_op(number))
    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 2


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        threads = [threading.Thread(target=write, args=(ledger, at)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ledger.tally() == Tally(ops=400, attempts=400, acknowledged_samples=4000, acknowledged_chunks=400)
    names = [json.loads(line)["op"] for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert sorted(names) == sorted(f"d-{at * 100 + n}" for at in range(8) for n in range(50))


def test_only_ok_uploads_count_as_acknowledged(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.op(an_op(1, outcome=Outcome.UNKNOWN))
        ledger.op(an_op(2, outcome=Outcome.FAILED))
        ledger.op(an_op(3, kind="progress"))
        assert ledger.tally() == Tally(ops=3, attempts=3, unknown_ops=1)


def test_what_is_uploaded_again_counts_once(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        for number in (1, 1, 2):
            ledger.op(an_op(number))
        assert ledger.tally() == Tally(ops=3, attempts=3, acknowledged_samples=20, acknowledged_chunks=2)


def test_read_back_as_evidence_but_for_a_torn_line(tmp_path: Path) -> None:
    plan = next(iter(plans(Shape(seed=1, phones=1, samples=500))))
    batch = plan.batches[0]
    with Ledger(tmp_path) as ledger:
        rows = [
            sample.row(user=plan.user, device=plan.device, batch_key=batch.key, index=0, position=position)
            for position, sample in enumerate(batch.chunks[0])
        ]
        ledger.samples(rows)
        ledger.op(an_op(0))
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"op": "torn')
    tables = open_tables()
    create_tables(tables)
    load_ledger(tables, tmp_path)
    assert tables.execute("SELECT op, idx, sample_count FROM ops").fetchall() == [("d-0", 0, 10)]
    found = tables.execute("SELECT sample, start_ms, mark, source FROM samples ORDER BY position").fetchall()
    assert found == [(each.key, each.start_us // 1000, each.mark.value, each.source.key) for each in batch.chunks[0]]
