"""A load run against `TARGET=url`: the lab starts Locust alone, and judges by what the stack's API shows."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from rich.console import Console

from harness.devices.balancer import Balancer
from harness.devices.types import SAMPLE_TYPES
from harness.errors import LabError
from harness.events import RunEvent, ScenarioEvent, VerdictEvent
from harness.experiment.phases import Phases
from harness.interrupt import interruptible
from harness.lab_home import PROJECT
from harness.ledger import Ledger
from harness.load.bounds import bounds_of
from harness.load.crowd import Locust, LocustCrowd
from harness.load.figures import Figures, measure
from harness.load.finish import finish, last_line, write_figures
from harness.load.locust_compose import LocustCompose
from harness.load.locust_processes import LocustProcesses
from harness.load.order import LoadOrder
from harness.load.remote import NOTHING_SEEN, SeenThroughApi, judge_api
from harness.redaction import redact
from harness.report.live import watching
from harness.rows.row import PLAIN, Row
from harness.run_record import RunRecord, ScenarioRecord, new_run_directory
from harness.times import Times
from harness.verdict import ExitCode, Verdict, exit_code_of, judge

ASKED: Final = 50
DRIVER: Final = "elsewhere"


@dataclass(slots=True, kw_only=True)
class Elsewhere:
    """What was asked for. Its stack runs with production's times unless the bounds say otherwise.

    `figures` come at the end.
    """

    order: LoadOrder
    url: str
    ui: bool = False
    in_compose: bool = False
    accept_p95_s: float | None = None
    per_chunk_p95_s: float | None = None
    times: Times = field(default_factory=Times)
    figures: Figures | None = None

    def run(self, console: Console) -> ExitCode:
        """Play it; the last line printed is the verdict with its figures. An error of the lab is written down, too."""
        directory = new_run_directory(PROJECT)
        record = RunRecord(
            directory=directory,
            driver=DRIVER,
            seed=self.order.seed,
            argv=sys.argv,
            times=self.times.as_json(),
            root=PROJECT,
        )
        with interruptible(), watching(console) as listener:
            listener.on_event(RunEvent(DRIVER, record.seed, 1))
            listener.on_event(ScenarioEvent(PLAIN, 1, 1))
            played = self._play(directory, phases=Phases(PLAIN, listener))
            listener.on_event(VerdictEvent(PLAIN, played.verdict.value, played.duration_s, played.reason()))
        record.scenarios.append(played)
        record.code = ExitCode.LAB_FAILED if played.lab_failed else exit_code_of(played.verdict)
        finish(record, console, last_line=last_line(record, played, self.figures))
        return record.code

    def _play(self, directory: Path, *, phases: Phases) -> ScenarioRecord:
        begun = time.monotonic()
        phases.enter("work")
        lab_failed = False
        try:
            seen, doubts = self._load(directory, phases=phases)
        except LabError as error:
            seen, doubts, lab_failed = NOTHING_SEEN, [str(error)], True
        finally:
            phases_s = phases.end()
        figures = self.figures
        return ScenarioRecord(
            row=Row(id=PLAIN, title=f"30-day backfills, {self.order.shape} load on {self.url}"),
            test="locustfiles/load.py",
            planted=None,
            faulted=False,
            nets_removed=(),
            wrong_without_fault=False,
            expected=Verdict.VALID,
            verdict=judge(anomalies=len(seen.anomalies), doubts=len(doubts)),
            duration_s=time.monotonic() - begun,
            phases_s=phases_s,
            faults=(),
            counts=seen.counts,
            witnesses={
                "load": figures.line() if figures is not None else "nothing was measured",
                "seen through": f"the API: {seen.asked} accounts × types compared",
            },
            anomalies=seen.anomalies,
            doubts=tuple(doubts),
            recovery_s={},
            replay=shlex.join(("lab", *sys.argv[1:])),
            times=self.times.as_json(),
            directory=PLAIN,
            lab_failed=lab_failed,
        )

    def _load(self, directory: Path, *, phases: Phases) -> tuple[SeenThroughApi, list[str]]:
        place = directory / PLAIN
        order = replace(self.order, targets={"target": self.url}, directory=str(place / "processes"))
        balancer = Balancer(order.targets)
        with Ledger(place) as ledger:
            crowd = LocustCrowd(
                order=order,
                directory=place,
                ledger=ledger,
                balancer=balancer,
                processes=self._locust(order, directory),
                say=phases.note,
                read_back_phones=ASKED,
                read_back_types=len(SAMPLE_TYPES),
            )
            try:
                crowd.start()
                crowd.wait_arrived()
                phases.enter("quiesce", deadline_s=order.patience_s)
                are_done = crowd.join(timeout_s=order.patience_s)
            finally:
                crowd.stop()
            phases.enter("check")
            crowd.read_back()
        self.figures = figures = measure(place)
        write_figures(directory, order=order, figures=figures)
        bounds = bounds_of(
            self.times,
            recovery_s=0.0,
            accept_p95_s=self.accept_p95_s,
            per_chunk_p95_s=self.per_chunk_p95_s,
        )
        seen = judge_api(place, order=order, phones=tuple(crowd.phones()))
        doubts = [*crowd.errors(), *bounds.doubts(figures)]
        if not are_done:
            doubts.append(f"visitors were still at it after {order.patience_s:.0f} s")
        if not seen.asked:
            doubts.append("no account could be compared with what was acknowledged for it")
        return replace(seen, anomalies=(*seen.anomalies, *bounds.anomalies(figures))), doubts

    def _locust(self, order: LoadOrder, directory: Path) -> Locust:
        if self.in_compose:
            return LocustCompose(order=order, directory=directory / "locust", reports=directory.parent)
        return LocustProcesses(order=order, directory=directory / "locust", ui=self.ui)


def checked_url(url: str) -> str:
    """A base URL. Raises: LabError for anything else."""
    if not url.startswith(("http://", "https://")):
        raise LabError(f"TARGET={redact(url)}: expected a URL such as http://127.0.0.1:8001")
    return url.rstrip("/")
