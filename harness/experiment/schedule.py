"""What the schedule promises, held against what Redis was really given: who leads, and whether ticks come in time.

Doubled and missing ticks are every row's business (harness/checkers/effects.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from harness.anomaly import Anomaly, Kind
from harness.drivers.protocol import Stack
from harness.errors import Inconclusive
from harness.lab_session import lab_session
from harness.witness import Published

ENTRIES: Final[Mapping[str, str]] = {"sweep-imports": "healthkit.sweep", "send-due-reminders": "reminders.send_due"}
"""Entry of the schedule to the task that it runs; the lab's own copy."""


def late_ticks(
    published: Sequence[Published], *, bound_s: float, since: datetime | None, until: datetime
) -> list[Anomaly]:
    """Scheduled tasks that nobody published for longer than `bound_s` between two moments.

    `since` None: there was nothing to look for. The silence up to `until` counts, as nobody knows how it will end.
    """
    if since is None:
        return []
    found: list[Anomaly] = []
    for task in ENTRIES.values():
        stamps = sorted(_at(each) for each in published if each.task == task and since < _at(each) < until)
        silence = max(later - earlier for earlier, later in pairwise((since, *stamps, until)))
        if silence > timedelta(seconds=bound_s):
            found.append(
                Anomaly(
                    kind=Kind.LATE,
                    summary=f"{task} was not published for {silence.total_seconds():.1f} s, allowed {bound_s:g} s",
                    ids={"task": task},
                )
            )
    return found


def doubled_ticks(published: Sequence[Published], *, since: datetime | None) -> list[Anomaly]:
    """Ticks that somebody published after `since` although they had been before: a second beat ticks beside the leader.

    `since` None: there was nothing to look for. What the broker itself delivers again is no publish.
    """
    if since is None:
        return []
    seen: set[str] = set()
    doubled: dict[str, Published] = {}
    for each in sorted(published, key=_at):
        tick = each.headers.get("tick")
        if tick is None or each.redelivered:
            continue
        if tick in seen and _at(each) > since:
            doubled[tick] = each
        seen.add(tick)
    return [
        Anomaly(
            kind=Kind.DUPLICATED,
            summary=f"tick {tick} ({each.task}) was published again at {each.at}",
            ids={"tick": tick, "task": each.task},
        )
        for tick, each in doubled.items()
    ]


def leader(stack: Stack) -> str:
    """The beat that holds the lease; the only one there is when the scheduler keeps none.

    Raises: Inconclusive when it cannot be told.
    """
    beats = stack.replicas("beat")
    if len(beats) == 1:
        return beats[0]
    with lab_session(stack.dsn()) as session:
        found = session.execute(
            "select holder from scheduling_beat_lease where expires_at > clock_timestamp()"
        ).fetchone()
    if found is None or found[0] not in beats:
        raise Inconclusive(f"no beat leads: the lease is {found}, the beats are {beats}")
    return str(found[0])


def _at(published: Published) -> datetime:
    return datetime.fromisoformat(published.at)
