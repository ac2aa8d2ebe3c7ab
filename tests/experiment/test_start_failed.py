"""An app that does not start is INVALID, with its anomaly; all else that keeps a stack from starting is the lab's."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from harness.anomaly import Kind
from harness.drivers.pool import Pool
from harness.drivers.protocol import Stack, StackSpec
from harness.errors import DriverError, StartFailed
from harness.events import Event
from harness.experiment.experiment import Experiment
from harness.experiment.life import Session, play
from harness.rows.plan import Plan
from harness.rows.row import Row
from harness.run.patch import caught_by
from harness.run_record import ScenarioRecord
from harness.verdict import Verdict


class Unheard:
    def on_event(self, event: Event) -> None: ...


class Unstartable:
    def __init__(self, error: DriverError) -> None:
        self.spec = StackSpec()
        self.error = error

    def start(self) -> None:
        raise self.error

    def down(self) -> None: ...


def no_scenario(x: Experiment) -> None:
    raise AssertionError("it must not be played")


def played(error: DriverError, directory: Path) -> ScenarioRecord:
    pool = Pool(make=lambda _: cast(Stack, Unstartable(error)))
    session = Session(
        pool=pool, driver="processes", directory=directory, seed=1, listener=Unheard(), replay=lambda _: ""
    )
    try:
        return play(no_scenario, plan=Plan(Row(id="CONTROL", title="nothing")), session=session, test="it")
    finally:
        pool.close()


@pytest.mark.parametrize(
    ("exit_code", "kind", "ids"),
    [
        (3, Kind.CRASHED, {"service": "worker-1", "exit_code": "3"}),
        (None, Kind.NOT_RECOVERED, {"service": "worker-1"}),
    ],
    ids=["it exits", "it never becomes healthy"],
)
def test_an_app_that_does_not_start_is_caught(
    exit_code: int | None, kind: Kind, ids: dict[str, str], tmp_path: Path
) -> None:
    record = played(StartFailed("its log ends: boom", replica="worker-1", exit_code=exit_code), tmp_path)
    (anomaly,) = record.anomalies
    assert (record.verdict, anomaly.kind, anomaly.ids) == (Verdict.INVALID, kind, ids)
    assert record.doubts == ("its log ends: boom",)
    assert not record.lab_failed
    caught = caught_by([record])
    assert caught is not None
    assert (caught.id, caught.kind) == ("CONTROL", kind.value)


def test_a_store_that_does_not_start_is_the_labs_failure(tmp_path: Path) -> None:
    record = played(DriverError("postgres ended while starting"), tmp_path)
    assert (record.verdict, record.lab_failed) == (Verdict.INCONCLUSIVE, True)
    assert caught_by([record]) is None
