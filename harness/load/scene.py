"""The scene: a row of the catalogue played in the middle of a load run, or a run with nobody in the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Final

from harness.anomaly import Kind
from harness.checkers.windows import Window, ms_of
from harness.clock import utc_now
from harness.errors import LabError
from harness.experiment.crowd import Crowd
from harness.experiment.experiment import Experiment
from harness.experiment.life import Scenario
from harness.load.bounds import bounds_of
from harness.load.crowd import LocustCrowd, aimed_at
from harness.load.figures import Figures, measure
from harness.load.finish import write_figures
from harness.load.locust_processes import LocustProcesses
from harness.load.order import LoadOrder
from harness.load.timetable import middle_s, phones_in, timetable
from harness.rows.catalogue import Listed, all_rows
from harness.rows.defect import Planted, load_defect
from harness.rows.plan import Plan
from harness.rows.row import CONTROL, PLAIN, Load, Row
from harness.times import Pace, takeover_s

UNSUITED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "B3": "slows its phones down before they begin",
        "B5": "slows its phones down before they begin",
        "B6": "slows its phones down before they begin",
        "B7": "slows its phones down before they begin",
        "B8": "slows its phones down before they begin",
        "D1": "slows its phones down before they begin",
        "A11": "tells a phone to vanish before it begins",
        "W8": "re-drives by hand",
        "W9": "re-drives by hand",
        "W14": "slows its phones down before they begin",
        "A1": "tells a phone to send two chunks at one moment",
        "A6": "re-drives by hand",
        "A10": "re-drives by hand",
        "A5": "tells a phone what to ask",
        "E1": "re-drives by hand",
        "L5": "tells its phones to sync once more",
        "A12": "tells its phones to sync once more",
        "X1": "tells half of its phones to come late",
    }
)
"""Rows that want of their phones what Locust's visitors cannot be told; by id, and why."""
LEAST_PART: Final = 0.75
"""Of what the phones plan at full size this much must be acknowledged; second phones of a person send a little less."""


@dataclass(slots=True, kw_only=True)
class Scene:
    """One load run on a stack of the lab's own. `order` lacks what only the stack knows; `figures` come at the end.

    `accept_p95_s` and `per_chunk_p95_s` replace the bounds that follow from the stack's times.
    """

    order: LoadOrder
    fault: str = ""
    planted: str = ""
    ui: bool = False
    accept_p95_s: float | None = None
    per_chunk_p95_s: float | None = None
    figures: Figures | None = None
    _listed: Listed | None = field(init=False)
    _crowd: LocustCrowd | None = None
    _harmed_since: datetime | None = None

    def __post_init__(self) -> None:
        self._listed = find_row(self.fault) if self.fault else None

    def plan(self) -> Plan:
        """What is played: the row with this run's load, its fault if there is one, the defect if one is planted.

        Raises: LabError when no phone arrives, or none after the fault.
        """
        arrivals = timetable(self.order)
        phones = phones_in(arrivals)
        if self._listed and not aimed_at(arrivals):
            raise LabError(
                f"FAULT={self.fault}: it comes in the middle of the arrivals, {middle_s(arrivals):.1f} s after the "
                f"first second, and of {phones} phones none follows at which it could be aimed: more USERS, RATE or "
                "RUN_TIME"
            )
        samples = int(LEAST_PART * phones * self.order.samples_per_phone)
        load = Load(phones=phones, samples=samples, planted_phones=phones, planted_samples=samples)
        row = self._listed.row if self._listed else Row(id=PLAIN, title=f"30-day backfills, {self.order.shape} load")
        return Plan(replace(row, load=load), self._planted(row), faulted=self._listed is not None)

    @property
    def test(self) -> str:
        """Where the row's scenario is written."""
        return self._listed.test if self._listed else "locustfiles/load.py"

    def make_crowd(self, x: Experiment) -> Crowd:
        """Locust, aimed at the api replicas of the experiment's stack."""
        order = replace(self.order, targets=dict(x.stack.api_urls()), directory=str(x.directory / "processes"))
        self._crowd = LocustCrowd(
            order=order,
            directory=x.directory,
            ledger=x.ledger,
            balancer=x.balancer,
            processes=LocustProcesses(order=order, directory=x.directory.parent / "locust", ui=self.ui),
            say=x.phases.note,
        )
        return self._crowd

    def play(self, x: Experiment) -> None:
        """Let the timetable run; in its middle do to the stack what the row does; then let it run to its end."""
        crowd = self._crowd
        if crowd is None:
            raise LabError("a load run wants its own crowd; give the session this scene's make_crowd")
        x.later.append(lambda: self._judge(x, crowd))
        x.work()
        if self._listed is not None:
            crowd.wait_until(middle_s(crowd.arrivals))
            # What came before, with nobody in the way, is this run's control.
            now = crowd.progress()
            x.pace = Pace(
                work_s=now.elapsed_s,
                quiesce_s=0.0,
                samples=now.tally.acknowledged_samples,
                stretch=x.contention.stretch(),
            )
            self._harmed_since = utc_now()
            scenario_of(self._listed)(x)
            x.heal_all()
            x.phases.enter("work")
        crowd.wait_arrived()

    def _judge(self, x: Experiment, crowd: LocustCrowd) -> None:
        """Hold the figures against their bounds; the samples are the checkers' business."""
        recovery_s = x.outage_s + takeover_s(x.times, x.row.recovery)
        bounds = bounds_of(
            x.times,
            recovery_s=recovery_s,
            accept_p95_s=self.accept_p95_s,
            per_chunk_p95_s=self.per_chunk_p95_s,
        )
        self.figures = figures = measure(x.directory, harmed=self._harmed(x))
        x.anomalies += bounds.anomalies(figures)
        crowd.doubts += bounds.doubts(figures)
        x.witnesses["load"] = figures.line()
        write_figures(x.directory.parent, order=crowd.order, figures=figures)

    def _harmed(self, x: Experiment) -> tuple[Window, ...]:
        """From the first thing the row did until its last fault was healed and recovered from."""
        if self._harmed_since is None:
            return ()
        healed = max((each.healed_at or utc_now() for each in x.harm.injected()), default=self._harmed_since)
        settle_s = takeover_s(x.times, x.row.recovery)
        return ((ms_of(self._harmed_since), ms_of(healed) + int(1000 * settle_s)),)

    def _planted(self, row: Row) -> Planted | None:
        if not self.planted:
            return None
        declared = [each for each in row.defects if each.defect.name == self.planted]
        return declared[0] if declared else Planted(defect=load_defect(self.planted), expected=Kind.LOST)


def find_row(name: str) -> Listed:
    """The row with this id or label (the first variant of an id).

    Raises: LabError when there is none, or it cannot be played under load.
    """
    rows = [each for each in all_rows() if each.row.id != CONTROL]
    found = [each for each in rows if name in (each.row.id, each.row.label())]
    if not found:
        known = ", ".join(sorted({each.row.label() for each in rows if each.row.id not in UNSUITED}))
        raise LabError(f"FAULT={name}: no such row; there are {known}")
    row_id = found[0].row.id
    if row_id in UNSUITED:
        raise LabError(f"FAULT={name}: this row {UNSUITED[row_id]}; play it with `lab chaos --ids {row_id}`")
    return found[0]


def scenario_of(listed: Listed) -> Scenario:
    """The function that plays a row."""
    path, _, name = listed.test.partition("::")
    scenario: Scenario = getattr(import_module(f"scenarios.{Path(path).stem}"), name)
    return scenario
