"""Anomalies: the closed list of what can be wrong, and one counter-example of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """Every way in which a run can be INVALID. `docs/anomalies.md` explains each; a test holds the two together."""

    LOST = "lost"
    LATE = "late"
    DUPLICATED = "duplicated"
    PHANTOM = "phantom"
    UNEXPECTED = "unexpected"
    GIVEN_UP = "given_up"
    WRONGLY_REJECTED = "wrongly_rejected"
    WRONGLY_IMPORTED = "wrongly_imported"
    WRONG_RECORD = "wrong_record"
    WRONG_AGGREGATE = "wrong_aggregate"
    WRONG_ANCHOR = "wrong_anchor"
    WRONG_ACCOUNTING = "wrong_accounting"
    WRONG_ANSWER = "wrong_answer"
    MISSED_EFFECT = "missed_effect"
    SILENT = "silent"
    FALSE_ALARM = "false_alarm"
    FALSE_METRIC = "false_metric"
    LEAKED = "leaked"
    CRASHED = "crashed"
    NOT_REFUSED = "not_refused"
    UNBOUNDED = "unbounded"
    NOT_RECOVERED = "not_recovered"


GRAVITY: Final = (
    *(Kind.LOST, Kind.LATE, Kind.DUPLICATED, Kind.PHANTOM, Kind.UNEXPECTED, Kind.GIVEN_UP),
    *(Kind.WRONG_RECORD, Kind.WRONGLY_REJECTED, Kind.WRONGLY_IMPORTED),
    *(Kind.WRONG_ACCOUNTING, Kind.WRONG_AGGREGATE, Kind.WRONG_ANCHOR, Kind.WRONG_ANSWER, Kind.MISSED_EFFECT),
)


def gravity(kind: str) -> tuple[int, str]:
    """A sort key: samples that are gone, other harm to data, what follows from it, then all else, by name."""
    return (GRAVITY.index(Kind(kind)) if kind in GRAVITY else len(GRAVITY), kind)


TIMED: Final = frozenset({Kind.LATE, Kind.SILENT, Kind.FALSE_ALARM, Kind.UNBOUNDED, Kind.NOT_RECOVERED})
"""Those that say when something happened, or that it did not in time, rather than what became of data."""

MORE: Final = "more"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One counter-example: what is wrong, about what, in words a reader understands without the code.

    `ids` name the thing (sample, user, batch, chunk, reminder, tick, service …): strings only. One with the id MORE
    stands for so many that are not named.
    """

    kind: Kind
    summary: str
    ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """For how many it stands."""
        return int(self.ids.get(MORE, 1))
