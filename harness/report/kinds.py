"""The anomalies of one scenario kind by kind: what each kind means, and what it may follow from."""

from __future__ import annotations

from dataclasses import dataclass

from harness.anomaly import Kind, gravity
from harness.report.accused import Accused, Named
from harness.report.glossary import FOLLOWS, meaning
from harness.report.record import AnomalyGroup, AnomalyRecord, ScenarioRecord

FIRST_OF_A_KIND = 3


@dataclass(frozen=True, slots=True)
class KindView:
    """One kind: the first of its anomalies, and those that run.json keeps beyond them."""

    kind: str
    count: int
    meaning: str
    follows: str
    first: tuple[AnomalyRecord, ...]
    others: tuple[AnomalyRecord, ...]
    columns: tuple[str, ...]

    @property
    def more(self) -> str:
        """How many are shown, folded and left out; empty when all are shown."""
        kept = len(self.first) + len(self.others)
        left = f"; {self.count - kept:,} more are counted only" if self.count > kept else ""
        return f"{len(self.others)} more of {self.count:,}{left}" if self.others or left else ""


def kinds(scenario: ScenarioRecord, blamed: Accused) -> tuple[KindView, ...]:
    """Gravest first."""
    return tuple(
        KindView(
            kind=group.kind,
            count=group.count,
            meaning=meaning(group.kind),
            follows=_follows(group.kind, blamed),
            first=group.first[:FIRST_OF_A_KIND],
            others=group.first[FIRST_OF_A_KIND:],
            columns=_columns(group),
        )
        for group in scenario.anomalies
    )


def _columns(group: AnomalyGroup) -> tuple[str, ...]:
    """The names of the ids; a sample's name holds its user and device already."""
    names = tuple(dict.fromkeys(name for one in group.first for name in one.ids))
    return tuple(name for name in names if "sample" not in names or name not in ("user", "device"))


def _follows(kind: str, blamed: Accused) -> str:
    """What a kind may follow from: a graver one that was named for the same chunk, or the same batch."""
    if kind not in set(Kind) or Kind(kind) not in FOLLOWS:
        return ""
    own = [one for one in blamed.named if one.anomaly.kind == kind]
    graver = [one for one in blamed.named if gravity(one.anomaly.kind) < gravity(kind)]
    pairs = [(one, other) for one in own for other in graver if _is_same(one, other)]
    if not pairs:
        return ""
    causes = " and ".join(sorted({other.anomaly.kind for _, other in pairs}, key=gravity)[:1])
    shared = len({id(one) for one, _ in pairs})
    place = "chunk" if all(one.chunk for one in own) else "batch"
    return f"{shared} of these {len(own)} may follow from {causes} in the same {place}: {FOLLOWS[Kind(kind)]}."


def _is_same(one: Named, other: Named) -> bool:
    if one.chunk is not None and other.chunk is not None:
        return one.chunk == other.chunk
    return bool(one.batch) and one.batch == other.batch
