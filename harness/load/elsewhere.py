"""A load run against `TARGET=url`: the lab starts Locust alone, and judges by what the stack's API shows."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console

from harness.devices.balancer import Balancer
from harness.devices.types import SAMPLE_TYPES
from harness.errors import LabError
from harness.events import RunEvent, ScenarioEvent, VerdictEvent
from harness.interrupt import interruptible
from harness.ledger import Ledger
from harness.live import watching
from harness.load.bounds import bounds_of
from harness.load.crowd import Locust, LocustCrowd
from harness.load.figures import FIGURES_FILE, Figures, measure
from harness.load.finish import finish, last_line
from harness.load.locust_compose import LocustCompose
from harness.load.locust_processes import LocustProcesses
from harness.load.order import LoadOrder
from harness.load.remote import SeenThroughApi, judge_api
from harness.load.scene import PLAIN
from harness.phases import Phases
from harness.row import Row
from harness.run_record import RunRecord, ScenarioRecord, new_run_directory
from harness.times import Times
from harness.verdict import ExitCode, exit_code_of, judge

ROOT: Final = Path(__file__).resolve().parent.parent.parent
ASKED: Final = 50
DRIVER: Final = "elsewhere"


@dataclass(slots=True, kw_only=True)
class Elsewhere:
    """What was asked for. Its stack runs with production's times unless the bounds say otherwise."""

    order: LoadOrder
    url: str
    ui: bool = False
    in_compose: bool = False
    accept_p95_s: float | None = None
    per_chunk_p95_s: float | None = None
    times: Times = field(default_factory=Times)

    def run(self, console: Console) -> ExitCode:
        """Play it; the last line printed is the verdict with its figures."""
        directory = new_run_directory(ROOT)
        record = RunRecord(
            directory=directory,
            driver=DRIVER,
            seed=self.order.seed,
            argv=sys.argv,
            times=self.times.as_json(),
            root=ROOT,
        )
        begun = time.monotonic()
        with interruptible(), watching(console) as listener:
            listener.on_event(RunEvent(DRIVER, record.seed, 1))
            listener.on_event(ScenarioEvent(PLAIN, 1, 1))
            phases = Phases(PLAIN, listener)
            phases.enter("work")
            figures, seen, doubts = self._play(directory, phases=phases)
            phases_s = phases.end()
            verdict = judge(anomalies=len(seen.anomalies), doubts=len(doubts))
            took_s = time.monotonic() - begun
            listener.on_event(VerdictEvent(PLAIN, verdict.value, took_s, ""))
        played = ScenarioRecord(
            row=Row(id=PLAIN, title=f"30-day backfills, {self.order.shape} load on {self.url}"),
            test="locustfiles/load.py",
            planted=None,
            faulted=False,
            nets_removed=(),
            wrong_without_fault=False,
            expected="VALID",
            verdict=verdict,
            duration_s=took_s,
            phases_s=phases_s,
            faults=(),
            counts=seen.counts,
            witnesses={
                "load": figures.line(),
                "seen through": f"the API: {seen.asked} accounts × types compared",
            },
            anomalies=seen.anomalies,
            doubts=doubts,
            recovery_s={},
            replay=shlex.join(("lab", *sys.argv[1:])),
            times=self.times.as_json(),
            directory=PLAIN,
        )
        record.scenarios.append(played)
        record.code = exit_code_of(verdict)
        finish(record, console, last_line=last_line(record, played, figures))
        return record.code

    def _play(self, directory: Path, *, phases: Phases) -> tuple[Figures, SeenThroughApi, tuple[str, ...]]:
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
        figures = measure(place, run_time_s=order.run_time_s)
        bounds = bounds_of(
            self.times,
            run_time_s=order.run_time_s,
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
        body = {"order": orjson.loads(order.as_text()), "figures": figures.as_json()}
        (directory / FIGURES_FILE).write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2))
        return figures, replace(seen, anomalies=(*seen.anomalies, *bounds.anomalies(figures))), tuple(doubts)

    def _locust(self, order: LoadOrder, directory: Path) -> Locust:
        if self.in_compose:
            return LocustCompose(order=order, directory=directory / "locust", reports=directory.parent)
        return LocustProcesses(order=order, directory=directory / "locust", ui=self.ui)


def checked_url(url: str) -> str:
    """A base URL. Raises: LabError for anything else."""
    if not url.startswith(("http://", "https://")):
        raise LabError(f"TARGET={url}: expected a URL such as http://127.0.0.1:8001")
    return url.rstrip("/")
