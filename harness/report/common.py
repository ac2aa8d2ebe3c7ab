"""What harmed chunks have in common, and whole ones have not: for each attribute the values that separate them.

A value separates when so many harmed chunks would hardly share it by chance (hypergeometric), whatever the defect is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, gcd, lgamma
from typing import Any, TypeVar

from harness.anomaly import gravity
from harness.report.accused import Accused, ChunkKey, Named
from harness.report.chunks import Chunk, chunks
from harness.report.jsonl import read_lines
from harness.report.logs import LogLine
from harness.report.record import ScenarioRecord

Key = TypeVar("Key", bound=Hashable)

PERFECT_CHANCE = 0.05
"""A clean split may be as likely as this by chance, and is told; anything less clean must be rarer: CHANCE."""
CHANCE = 0.01
MAX_FINDINGS = 3
SYMPTOMS = ("status", "claim", "message", "error", "event")
MAX_CHUNKS = 6
MAX_SAMPLES_BYTES = 256_000_000
PER_SAMPLE = ("lost", "late", "duplicated", "phantom", "wrongly_rejected", "wrongly_imported", "wrong_record")
ADJECTIVES = {"duplicated": "doubled", "wrongly_rejected": "wrongly rejected", "wrongly_imported": "wrongly imported"}
_SAMPLE_FACTS = ("mark", "reason", "source_kind", "source_name", "unit", "type", "device")


@dataclass(frozen=True, slots=True)
class Separator:
    """Phrases that hold for the same `size` of `total` things, `hit` of which are among the `harmed` ones.

    `chance` is how likely blind drawing would do as well; a symptom is a state in which the harm left them.
    """

    phrases: tuple[str, ...]
    hit: int
    size: int
    harmed: int
    total: int
    chance: float
    is_symptom: bool

    @property
    def is_perfect(self) -> bool:
        """Exactly the harmed ones."""
        return self.hit == self.harmed == self.size


@dataclass(frozen=True, slots=True)
class HarmedChunk:
    """One row of the table."""

    name: str
    whose: str
    figures: str
    accounted: str
    kinds: str
    positions: str


@dataclass(frozen=True, slots=True)
class Common:
    """The section of one scenario."""

    title: str
    findings: tuple[str, ...]
    chunks: tuple[HarmedChunk, ...]
    more: str
    note: str


def common(scenario: ScenarioRecord, blamed: Accused, lines: Iterable[LogLine]) -> Common | None:
    """None when no chunk is harmed, or nothing separates the harmed from the whole."""
    known = chunks(scenario, lines) if blamed.chunks or blamed.batches else {}
    harmed = {key for key in known if key in blamed.chunks or known[key].is_harmed}
    if not harmed:
        return None
    found = separators({key: chunk.facts for key, chunk in known.items()}, harmed)
    findings = [_sentence(one, "chunks", "harmed") for one in found]
    kind = min((one.anomaly.kind for one in blamed.named if one.anomaly.kind in PER_SAMPLE), key=gravity, default="")
    findings += _about_samples(scenario, blamed, kind, harmed) if kind else []
    if not findings:
        return None
    order = sorted(harmed, key=lambda key: (_first_place(blamed, key), key))
    told = tuple(_told(key, known[key], blamed) for key in order[:MAX_CHUNKS])
    return Common(
        title=f"What the {ADJECTIVES.get(kind, kind)} samples have in common"
        if kind
        else "What the harmed chunks share",
        findings=tuple(findings),
        chunks=told,
        more=f"The first {len(told)} of {len(harmed)} harmed chunks." if len(told) < len(harmed) else "",
        note=_note(scenario),
    )


def separators(facts: Mapping[Key, Mapping[str, str]], harmed: set[Key]) -> tuple[Separator, ...]:
    """A clean split alone if it may be a cause, else the clearest; values that hold for the same things are one."""
    places: dict[tuple[str, str], set[Key]] = {}
    for key, values in facts.items():
        for attribute, phrase in values.items():
            places.setdefault((attribute, phrase), set()).add(key)
    groups: dict[frozenset[Key], list[tuple[str, str]]] = {}
    for place, keys in places.items():
        groups.setdefault(frozenset(keys), []).append(place)
    found = [_separator(keys, told, harmed, len(facts)) for keys, told in groups.items()]
    kept = [one for one in found if one.chance <= (PERFECT_CHANCE if one.is_perfect else CHANCE)]
    clean = [one for one in kept if one.is_perfect]
    if clean and not all(one.is_symptom for one in clean):
        kept = clean
    kept.sort(key=lambda one: (not one.is_perfect, one.chance, one.phrases))
    return tuple(kept[: 2 if clean else MAX_FINDINGS])


def _separator(keys: frozenset[Any], told: Sequence[tuple[str, str]], harmed: set[Any], total: int) -> Separator:
    hit = len(keys & harmed)
    phrases = tuple(phrase for _, phrase in told)
    is_symptom = all(attribute.startswith(SYMPTOMS) for attribute, _ in told)
    chance = _tail(hit, len(keys), len(harmed), total)
    return Separator(
        phrases, hit=hit, size=len(keys), harmed=len(harmed), total=total, chance=chance, is_symptom=is_symptom
    )


def _tail(hit: int, size: int, harmed: int, total: int) -> float:
    """The chance that at least `hit` of `harmed` things, drawn blindly from `total`, are among `size` ones."""
    if hit == 0:
        return 1.0
    return sum(
        exp(_log_choose(size, k) + _log_choose(total - size, harmed - k) - _log_choose(total, harmed))
        for k in range(hit, min(size, harmed) + 1)
        if harmed - k <= total - size
    )


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _sentence(one: Separator, things: str, word: str) -> str:
    first, *same = one.phrases
    others, hit_others = one.total - one.size, one.harmed - one.hit
    text = f"{one.hit:,} of {one.size:,} {things} {first} are {word}; {hit_others:,} of the {others:,} others"
    return text + (f". The same {things} are those {'; '.join(same)}." if same else ".")


def _about_samples(scenario: ScenarioRecord, blamed: Accused, kind: str, harmed: set[ChunkKey]) -> Iterator[str]:
    """What sets the named samples of the gravest kind apart from the other samples of their chunks."""
    named = [one for one in blamed.named if one.anomaly.kind == kind and one.anomaly.ids.get("sample")]
    names = {one.anomaly.ids["sample"] for one in named}
    places = [int(text) for one in named if (text := one.anomaly.ids.get("position", "")).isdigit()]
    path = scenario.directory / "samples.jsonl"
    if not path.is_file() or path.stat().st_size > MAX_SAMPLES_BYTES:
        return
    homes = {(one.anomaly.ids.get("batch_key", ""), one.chunk[1]) for one in named if one.chunk in harmed and one.chunk}
    step, rest = stride(places)
    facts: dict[str, dict[str, str]] = {}
    for line in read_lines(path, naming="batch_key"):
        if (str(line.get("batch_key")), str(line.get("index"))) in homes:
            facts[str(line.get("sample"))] = _sample_facts(line, step, rest)
    for one in separators(facts, names & facts.keys())[:2]:
        yield _sentence(one, "samples of these chunks", f"named as {kind}")


def _sample_facts(line: Mapping[str, Any], step: int, rest: int) -> dict[str, str]:
    found = {name: f"with {name} {line[name]}" for name in _SAMPLE_FACTS if line.get(name) not in (None, "")}
    position = line.get("position")
    if step > 1 and isinstance(position, int) and position % step == rest:
        found["position"] = f"at every {ordinal(step)} position ({rest}, {rest + step}, {rest + 2 * step} …)"
    return found


def stride(positions: Sequence[int]) -> tuple[int, int]:
    """The widest even step on which all positions lie, and where it begins; (1, 0) when fewer than three do."""
    if len(set(positions)) < 3:
        return 1, 0
    step = gcd(*(position - positions[0] for position in positions))
    return (step, positions[0] % step) if step > 1 else (1, 0)


def ordinal(number: int) -> str:
    """`2nd`, `3rd`, `12th`."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def compressed(positions: Iterable[int]) -> str:
    """Positions as a person would say them: `0–99`, `12, 24, …, 96: every 12th`, `3, 7, 8`."""
    places = sorted(set(positions))
    if len(places) < 4:
        return ", ".join(str(place) for place in places)
    steps = {after - before for before, after in pairwise(places)}
    if steps == {1}:
        return f"{places[0]}–{places[-1]}"
    if len(steps) == 1:
        return f"{places[0]}, {places[1]}, …, {places[-1]}: every {ordinal(steps.pop())}"
    return ", ".join(str(place) for place in places[:8]) + (f", … ({len(places)} in all)" if len(places) > 8 else "")


def _told(key: ChunkKey, chunk: Chunk, blamed: Accused) -> HarmedChunk:
    here = [one for one in blamed.named if one.chunk == key]
    around = [one for one in blamed.named if one.chunk is None and one.batch == key[0]]
    row, sums = chunk.row, chunk.accounted
    figures = (
        f"executed {row.get('executions', '?')}×, interrupted {row.get('interruptions', '?')}×, errors: "
        f"{row.get('data_attempts', '?')} data, {row.get('infra_attempts', '?')} infrastructure"
    )
    batch = f"its batch: {_counts(around)}" if around else ""
    return HarmedChunk(
        name=f"chunk {key[1]} of batch {key[0]}",
        whose=" ".join(part for part in (chunk.device, chunk.type) if part) or "unknown",
        figures=figures + (f"; by {', then '.join(chunk.replicas)}" if chunk.replicas else ""),
        accounted=f"{sums[0]} of {sums[1]}" if sums else "not known",
        kinds="; ".join(part for part in (_counts(here), batch) if part)
        or "named by none: left undone, or its counters fall short",
        positions="; ".join(_positions(here)),
    )


def _counts(named: Sequence[Named]) -> str:
    counts = Counter(one.anomaly.kind for one in named)
    return ", ".join(f"{counts[kind]} {kind}" for kind in sorted(counts, key=gravity))


def _positions(named: Sequence[Named]) -> Iterator[str]:
    kinds = sorted({one.anomaly.kind for one in named}, key=gravity)
    for kind in kinds:
        texts = [one.anomaly.ids.get("position", "") for one in named if one.anomaly.kind == kind]
        places = compressed(int(text) for text in texts if text.isdigit())
        if places:
            yield f"{kind} at {places}"


def _first_place(blamed: Accused, key: ChunkKey) -> int:
    return next((number for number, one in enumerate(blamed.named) if one.chunk == key), len(blamed.named))


def _note(scenario: ScenarioRecord) -> str:
    cut = [f"{len(one.first)} of {one.count:,} {one.kind}" for one in scenario.anomalies if len(one.first) < one.count]
    return f"Counted from those that run.json names ({', '.join(cut)}) and from the chunks' counters." if cut else ""
