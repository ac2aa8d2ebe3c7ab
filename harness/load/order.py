"""The order for a load run: all that a Locust process must know, on one machine or on many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from harness.devices.generator import Shape
from harness.errors import LabError
from harness.load.shapes import LoadShape

ORDER: Final = "LAB_LOAD"
"""The environment variable that hands the order to Locust, as JSON."""
FULL_PHONE: Final = 25_000
"""Samples of a whole 30-day backfill."""
FULL_RUN_S: Final = 1800.0
"""In runs shorter than this a phone sends the same share of its month as the run is of this."""
LEAST_SHARE: Final = 0.02
"""Below it a phone's longest batch is a single chunk, and nothing could be parked half done."""


def share_of(run_time_s: float) -> float:
    """The part, 0..1, of its month that a phone sends in a run of this length."""
    return min(1.0, max(LEAST_SHARE, run_time_s / FULL_RUN_S))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOrder:
    """One load run. Durations in seconds.

    `rate_per_s` is the full arrival rate of phones, `users` the most phones that arrive (None: as many as the rate
    brings), `run_time_s` how long phones arrive; those that have arrived finish what they began, for at most
    `patience_s`. `targets` maps api replicas to base URLs; `run` goes into every key, so that two runs against one
    stack do not meet. `directory` is where each process writes its own ledger.
    """

    seed: int
    shape: LoadShape
    rate_per_s: float
    users: int | None
    run_time_s: float
    samples_per_phone: int
    targets: Mapping[str, str]
    directory: str
    run: str = "load"
    processes: int = 1
    patience_s: float = 300.0
    retry_for_s: float = 60.0
    request_timeout_s: float = 15.0

    def __post_init__(self) -> None:
        positive = ("rate_per_s", "users", "run_time_s", "samples_per_phone", "processes", "patience_s")
        given = {name: value for name in positive if (value := getattr(self, name)) is not None}
        wrong = [f"{name} {value}" for name, value in given.items() if not value > 0]
        if wrong:
            raise LabError(f"a load run wants positive numbers, seen {', '.join(wrong)}")

    @property
    def limit_s(self) -> float:
        """After this, counted from its start, Locust ends whatever is left."""
        return self.run_time_s + self.patience_s

    def data(self) -> Shape:
        """What the generator makes for a person of this run."""
        return Shape(seed=self.seed, phones=1, samples=self.samples_per_phone, run=self.run)

    def as_text(self) -> str:
        """For the environment of a Locust process."""
        return json.dumps({**asdict(self), "targets": dict(self.targets)})


def read_order(text: str | None) -> LoadOrder:
    """The order in an environment variable's text. Raises: LabError when there is none, or it is not one."""
    if not text:
        raise LabError(f"{ORDER} is not set; `lab load` sets it; any load run's load.json has one, `order`")
    try:
        raw = json.loads(text)
        return LoadOrder(**{**raw, "shape": LoadShape(raw["shape"])})
    except (ValueError, TypeError, KeyError) as error:
        raise LabError(f"{ORDER} is no order for a load run: {error}") from error
