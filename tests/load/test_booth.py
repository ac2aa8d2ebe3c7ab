"""The booth of one process, and how the lab puts several together again."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.devices.balancer import Balancer
from harness.errors import LabError
from harness.ledger import Ledger, Tally
from harness.load.booth import MARGIN_S, READY_FILE, Booth, process_directory
from harness.load.crowd import LocustCrowd
from harness.load.locust_processes import LocustProcesses
from harness.load.order import LoadOrder
from harness.load.people import READ_S, SYNCED_TYPES, is_alone, phones_plans, sync_after
from harness.load.progress import Progress, Stage, read_progress, sum_of
from harness.load.scene import UNSUITED, Scene, find_row, scenario_of
from harness.load.timetable import Arrival, Visitor, middle_s
from harness.rows.catalogue import all_rows
from harness.rows.row import PLAIN
from tests.load.conftest import MakeOrder


def nothing(group: str, name: str, *, took_s: float, problem: str | None = None) -> None:
    """A meter for nobody."""


@contextmanager
def open_booth(order: LoadOrder, *, index: int = 0) -> Iterator[Booth]:
    booth = Booth(order, index=index, meter=nothing)
    try:
        yield booth
    finally:
        booth.close()


@contextmanager
def open_crowd(order: LoadOrder, directory: Path) -> Iterator[LocustCrowd]:
    with Ledger(directory) as ledger:
        processes = LocustProcesses(order=order, directory=directory / "locust")
        balancer = Balancer(order.targets)
        yield LocustCrowd(order, directory, ledger=ledger, balancer=balancer, processes=processes, say=lambda _: None)


def test_prepared_plans_are_those_of_the_generator(order: MakeOrder) -> None:
    small = order(users=4)
    with open_booth(small) as booth:
        assert list(booth.prepare())
        phones = [each for each in booth.arrivals if each.visitor is Visitor.PHONE]
        assert len(phones) == 4
        for each in phones:
            expected = phones_plans(small, person=each.person)[each.number]
            assert tuple(booth.batches(each)) == expected.batches
            assert booth.phone_plan(each).device == expected.device


def test_lateness_is_measured_not_avoided(order: MakeOrder) -> None:
    missed = Arrival(at_s=-2.0, visitor=Visitor.PHONE, person=0, number=0)
    with open_booth(order(users=1)) as booth:
        assert list(booth.prepare())
        assert booth.begin()
        assert booth.wait_for(missed)
        assert booth.came(missed) >= 2.0
        line = orjson.loads((booth.directory / "arrivals.jsonl").read_bytes())
        assert line["late_s"] >= 2.0
    assert read_progress(booth.directory).late_s >= 2.0


def test_all_processes_begin_at_the_same_moment(order: MakeOrder) -> None:
    two = order(processes=2)
    with open_booth(two, index=0) as quick, open_booth(two, index=1) as slow, ThreadPoolExecutor() as threads:
        first = threads.submit(quick.begin)
        wait_for((quick.directory / READY_FILE).exists, awaiting="the quick one to be ready", timeout_s=30.0)
        assert quick.begins_at is None
        assert slow.begin()
        assert first.result()
        assert quick.begins_at == slow.begins_at
        assert quick.elapsed_s == pytest.approx(slow.elapsed_s, abs=MARGIN_S / 2)


def test_the_others_are_not_awaited_beyond_the_end(order: MakeOrder) -> None:
    with open_booth(order(processes=2)) as booth:
        booth.stop.set()
        assert not booth.begin()


def test_what_a_phone_will_send_is_noted_with_its_arrival(order: MakeOrder) -> None:
    small = order(users=1)
    with open_booth(small) as booth:
        assert list(booth.prepare())
        assert booth.begin()
        (phone,) = [each for each in booth.arrivals if each.visitor is Visitor.PHONE]
        booth.came(phone)
        line = orjson.loads((booth.directory / "arrivals.jsonl").read_bytes())
    plan = phones_plans(small, person=0)[0]
    syncs = [sync_after(small, plan, batch=batch, anchor="any") for batch in plan.batches[:SYNCED_TYPES]]
    assert line["samples"] == plan.sample_count + sum(each.sample_count for each in syncs)
    assert line["sends_s"] == READ_S * sum(len(batch.chunks) for batch in plan.batches)


def test_nobody_comes_after_the_end(order: MakeOrder) -> None:
    with open_booth(order(users=1)) as booth:
        booth.begin()
        threading.Timer(0.05, booth.stop.set).start()
        assert not booth.wait_for(Arrival(at_s=60.0, visitor=Visitor.PHONE, person=1, number=0))


def test_drain_waits_for_whoever_was_let_in(order: MakeOrder) -> None:
    with open_booth(order(users=1)) as booth:
        booth.begin()
        booth.let_in()
        threading.Timer(0.2, booth.left).start()
        assert booth.drain()
        assert read_progress(booth.directory).stage in (Stage.PREPARING, Stage.ARRIVING, Stage.DRAINING)
    last = read_progress(booth.directory)
    assert (last.stage, last.arrived, last.done) == (Stage.OVER, 1, 1)


def test_drain_ends_with_patience(order: MakeOrder) -> None:
    with open_booth(order(users=1, rate_per_s=200.0, run_time_s=0.1, patience_s=0.1)) as booth:
        booth.begin()
        booth.let_in()
        assert not booth.drain()


def test_sum_is_as_far_as_the_last_and_as_late_as_the_latest() -> None:
    one = Progress(stage=Stage.OVER, elapsed_s=9.0, arrived=3, done=3, late_s=0.1, tally=Tally(ops=5))
    two = Progress(
        stage=Stage.ARRIVING, elapsed_s=8.0, arrived=2, done=0, late_s=0.3, errors=("no",), tally=Tally(ops=2)
    )
    found = sum_of([one, two])
    assert (found.stage, found.elapsed_s, found.arrived, found.done) == (Stage.ARRIVING, 8.0, 5, 3)
    assert (found.late_s, found.tally.ops, found.errors) == (0.3, 7, ("no",))


def test_ledgers_of_all_processes_are_merged(order: MakeOrder, tmp_path: Path) -> None:
    two = order(processes=2)
    for index in range(2):
        directory = process_directory(two, index)
        directory.mkdir(parents=True)
        (directory / "ledger.jsonl").write_text(f'{{"op": "p{index}"}}\n{{"op": "cut')
        (directory / "samples.jsonl").write_text(f'{{"sample": "s{index}"}}\n')
    with open_crowd(two, tmp_path / "run") as crowd:
        crowd.merge()
        lines = (tmp_path / "run" / "ledger.jsonl").read_text().split("\n")
        assert [each for each in lines if each.endswith("}")] == ['{"op": "p0"}', '{"op": "p1"}']
        assert (tmp_path / "run" / "samples.jsonl").read_text().split() == [
            '{"sample":',
            '"s0"}',
            '{"sample":',
            '"s1"}',
        ]


@pytest.mark.parametrize("users", [None, 24], ids=["all", "the cap is reached before the middle of the time"])
def test_aims_at_phones_that_come_after_the_middle(order: MakeOrder, tmp_path: Path, users: int | None) -> None:
    with open_crowd(order(users=users), tmp_path / "run") as crowd:
        aimed = {plan.user for plan in crowd.plans}
        from_s = middle_s(crowd.arrivals)
        late = {f"load-u{each.person}" for each in crowd.phones() if each.at_s >= from_s and is_alone(each.person)}
        assert aimed
        assert aimed <= late
        assert any(len(batch.chunks) > 1 for plan in crowd.plans for batch in plan.batches)


def test_locust_that_ends_early_is_an_error(order: MakeOrder, tmp_path: Path) -> None:
    with open_crowd(order(), tmp_path / "run") as crowd:
        with pytest.raises(LabError, match="Locust ended"):
            crowd.wait_arrived()
        assert crowd.join(timeout_s=0.1) is False


@pytest.mark.parametrize(("name", "label"), [("W6", "W6"), ("B2", "B2"), ("W1[warm]", "W1[warm]")], ids=str)
def test_rows_are_found_with_their_scenario(name: str, label: str) -> None:
    listed = find_row(name)
    assert listed.row.label() == label
    assert callable(scenario_of(listed))


@pytest.mark.parametrize("name", ["nothing", "CONTROL"])
def test_what_is_no_fault_is_refused(name: str) -> None:
    with pytest.raises(LabError, match=f"FAULT={name}"):
        find_row(name)


@pytest.mark.parametrize("name", sorted(UNSUITED))
def test_a_row_that_commands_its_phones_is_refused(name: str) -> None:
    with pytest.raises(LabError, match=f"FAULT={name}: this row .* `lab chaos --ids {name}`"):
        find_row(name)


def test_every_row_that_commands_its_phones_is_known() -> None:
    """By the source of the scenario: what it calls of the experiment that Locust's visitors do not do."""
    of_x = r"x\.(slow_down|vanish|dawdle|delay|send_together)\b"
    commands = re.compile(of_x + r"|\bredrive\(|fleet\.(sync_again|sync_late|phone)\(")
    found = {each.row.id for each in all_rows() if commands.search(inspect.getsource(scenario_of(each)))}
    assert found == set(UNSUITED)


def test_a_fault_that_nobody_follows_is_refused(order: MakeOrder) -> None:
    few = order(users=2)
    assert Scene(order=few).plan().phones() == 2
    with pytest.raises(LabError, match=r"FAULT=W6: .* of 2 phones none follows"):
        Scene(order=few, fault="W6").plan()


def test_a_scene_plans_what_was_asked_for(order: MakeOrder) -> None:
    plain = Scene(order=order()).plan()
    assert (plain.label(), plain.faulted, plain.planted) == (PLAIN, False, None)
    harmed = Scene(order=order(), fault="B2", planted="no_sweeper").plan()
    assert (harmed.label(), harmed.faulted, harmed.expected()) == ("B2 × no_sweeper", True, Kind.LOST.value)
    assert harmed.phones() == plain.phones() > 0


def test_an_unknown_defect_is_refused(order: MakeOrder) -> None:
    with pytest.raises(LabError, match="no planted defect"):
        Scene(order=order(), planted="nothing").plan()
