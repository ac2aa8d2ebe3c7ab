"""Progress: what each Locust process says of itself once a second, and what the lab reads of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Final

import orjson

from harness.ledger import Tally

PROGRESS_FILE: Final = "progress.json"


class Stage(StrEnum):
    """Where a process stands."""

    PREPARING = "preparing"
    ARRIVING = "arriving"
    DRAINING = "draining"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One process. `late_s` is the latest start so far, `elapsed_s` counts from the first second of the timetable."""

    stage: Stage = Stage.PREPARING
    elapsed_s: float = 0.0
    due: int = 0
    arrived: int = 0
    done: int = 0
    late_s: float = 0.0
    accept_ms: float = 0.0
    tally: Tally = field(default_factory=Tally)
    errors: tuple[str, ...] = ()

    def write(self, directory: Path) -> None:
        """Put it where the lab looks, in one piece."""
        path = directory / PROGRESS_FILE
        temporary = path.with_suffix(".new")
        temporary.write_bytes(orjson.dumps(asdict(self)))
        temporary.replace(path)


def read_progress(directory: Path) -> Progress:
    """What a process said last; that of one which has not begun when it said nothing yet."""
    path = directory / PROGRESS_FILE
    if not path.exists():
        return Progress()
    raw = orjson.loads(path.read_bytes())
    return Progress(
        **{**raw, "stage": Stage(raw["stage"]), "tally": Tally(**raw["tally"]), "errors": tuple(raw["errors"])}
    )


def sum_of(several: Iterable[Progress]) -> Progress:
    """All processes as one: as far as the one that is behind, as late as the latest."""
    every = list(several)
    if not every:
        return Progress()
    order = list(Stage)
    return Progress(
        stage=min((each.stage for each in every), key=order.index),
        elapsed_s=min(each.elapsed_s for each in every),
        due=sum(each.due for each in every),
        arrived=sum(each.arrived for each in every),
        done=sum(each.done for each in every),
        late_s=max(each.late_s for each in every),
        accept_ms=max(each.accept_ms for each in every),
        tally=Tally(**{each.name: sum(getattr(one.tally, each.name) for one in every) for each in fields(Tally)}),
        errors=tuple(error for each in every for error in each.errors),
    )
