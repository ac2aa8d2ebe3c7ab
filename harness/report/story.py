"""What happened, in sentences: for a reader who has never seen the lab."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from harness.report.glossary import meaning, spoken
from harness.report.record import AnomalyRecord, FaultRecord, RunRecord, ScenarioRecord


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the headline."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Headline:
    """What a reader sees first."""

    title: str
    sentences: tuple[str, ...]
    figures: tuple[Figure, ...]


def headline(run: RunRecord) -> Headline:
    """The verdict in words."""
    total = len(run.scenarios)
    title = _planted_title(run) if run.is_planted else _title(run)
    acknowledged = sum(scenario.counts.get("acknowledged", 0) for scenario in run.scenarios)
    lost = sum(scenario.counts.get("lost", 0) for scenario in run.scenarios)
    figures = [
        Figure("Scenarios", str(total)),
        *(
            Figure(word.capitalize(), str(run.count(word)))
            for word in ("VALID", "INVALID", "INCONCLUSIVE", "SKIPPED")
            if run.count(word)
        ),
        Figure("Samples acknowledged", f"{acknowledged:,}"),
        Figure("Samples lost", f"{lost:,}"),
        Figure("Driver", run.driver),
        Figure("Seed", run.seed),
        Figure("Took", _span(sum(scenario.duration_s for scenario in run.scenarios))),
        Figure("Revision", run.revision[:10] + (" (changed)" if run.is_dirty else "")),
    ]
    return Headline(title=title, sentences=tuple(_sentences(run)), figures=tuple(figures))


def _title(run: RunRecord) -> str:
    total = len(run.scenarios)
    bad = [scenario for scenario in run.scenarios if scenario.verdict == "INVALID"]
    if bad:
        group = bad[0].anomalies[0] if bad[0].anomalies else None
        what = f"{group.count:,} × {group.kind}" if group else "an anomaly"
        return f"{what} in {bad[0].label}" + (f", and {len(bad) - 1} more scenarios failed" if len(bad) > 1 else "")
    if run.verdict == "VALID":
        return f"all of {total} scenarios held" if total > 1 else "the scenario held"
    doubtful = [scenario for scenario in run.scenarios if scenario.verdict == "INCONCLUSIVE"]
    return f"nothing can be said about {', '.join(one.label for one in doubtful[:4]) or 'this stack'}"


def _planted_title(run: RunRecord) -> str:
    planted = [scenario for scenario in run.scenarios if scenario.planted and scenario.verdict != "SKIPPED"]
    missed = _missed(run)
    skipped = run.count("SKIPPED")
    besides = f"; skipped: {skipped}" if skipped else ""
    if missed:
        return f"{len(missed)} of {len(planted)} runs of planted defects did not end as declared{besides}"
    ended = "the run" if len(planted) == 1 else f"all {len(planted)} runs"
    return f"{ended} of planted defects ended as declared{besides}"


def _sentences(run: RunRecord) -> list[str]:
    found: list[str] = []
    if run.patch:
        found.append(
            f"The patch {run.patch} was " + (f"caught by {run.caught_by}." if run.caught_by else "not caught.")
        )
    group = next((group for one in run.scenarios for group in one.anomalies if one.verdict == "INVALID"), None)
    if group and not run.is_planted:
        found.append(f"{spoken(group.kind)}: {meaning(group.kind)}.")
        if group.first:
            found.append(f"First: {group.first[0].summary}")
    if run.is_planted:
        found.append(
            "A planted defect is run twice: with its fault it must turn the scenario INVALID for the declared reason, "
            "without the fault it must be VALID, unless it is declared wrong by itself."
        )
        found += [f"Not as declared: {one.label}. Expected {one.expected}. {_ending(one)}" for one in _missed(run)]
    return found


def _missed(run: RunRecord) -> list[ScenarioRecord]:
    return [scenario for scenario in run.scenarios if scenario.planted and not scenario.is_as_expected]


def _ending(scenario: ScenarioRecord) -> str:
    named = [f"{group.kind}: {group.first[0].summary}" for group in scenario.anomalies if group.first]
    return f"Ended {scenario.verdict}" + (f", {named[0]}" if named else "")


def story(scenario: ScenarioRecord) -> tuple[str, ...]:
    """What happened in one scenario."""
    told: list[str] = []
    if scenario.planted:
        nets = ", ".join(scenario.nets_removed) or "none"
        how = "with its fault" if scenario.faulted else "without its fault"
        told.append(
            f"The planted defect {scenario.planted} was run {how}; nets taken away so that nothing hides it: {nets}. "
            f"Expected: {scenario.expected}. " + _how_it_ended(scenario)
        )
    told += [_fault_sentence(fault, start=_start(scenario)) for fault in scenario.faults]
    told.append(_count_sentence(scenario))
    told += [f"{spoken(one.kind)}: {one.summary}" for one in _firsts(scenario)[:3]]
    told += [f"In doubt: {doubt}" for doubt in scenario.doubts]
    if scenario.recovery_s:
        name, slowest_s = max(scenario.recovery_s.items(), key=lambda item: item[1])
        is_back = all(group.kind != "not_recovered" for group in scenario.anomalies)
        told.append(
            f"Recovery took {slowest_s:.1f} s ({name})."
            if is_back
            else f"It had not recovered when the lab gave up, after {slowest_s:.1f} s ({name})."
        )
    return tuple(sentence for sentence in told if sentence)


def _how_it_ended(scenario: ScenarioRecord) -> str:
    if scenario.verdict == "SKIPPED":
        return "It was skipped."
    return "It ended as declared." if scenario.is_as_expected else f"It did not: it ended {scenario.verdict}."


def _firsts(scenario: ScenarioRecord) -> list[AnomalyRecord]:
    return [group.first[0] for group in scenario.anomalies if group.first]


def _start(scenario: ScenarioRecord) -> datetime | None:
    return min((fault.injected_at for fault in scenario.faults if fault.injected_at), default=None)


def _fault_sentence(fault: FaultRecord, *, start: datetime | None) -> str:
    if fault.injected_at is None or start is None:
        return f"{fault.name} on {fault.target} was never injected."
    later = (fault.injected_at - start).total_seconds()
    when = f"At {fault.injected_at:%H:%M:%S} UTC" + (f", {later:.1f} s after the first fault," if later else "")
    text = f"{when} {fault.name} was injected into {fault.target}"
    if fault.bitten_at is None:
        return f"{text}; it was never seen to bite."
    text += f"; it bit {(fault.bitten_at - fault.injected_at).total_seconds():.2f} s later"
    if fault.source:
        text += f" ({fault.source} read “{fault.before}” before and “{fault.after}” after)"
    if fault.healed_at is not None:
        text += f" and was whole again after {(fault.healed_at - fault.injected_at).total_seconds():.1f} s"
    return text + "."


def _count_sentence(scenario: ScenarioRecord) -> str:
    counts = scenario.counts
    if not counts.get("attempted"):
        return ""
    text = (
        f"Phones sent {counts['attempted']:,} samples and were told that {counts.get('acknowledged', 0):,} are kept; "
        f"{counts.get('present', 0):,} are records in Postgres at the end"
    )
    others = [
        f"{counts[name]:,} {words}"
        for name, words in (
            ("rejected", "were rejected with a reason"),
            ("given_up", "are in chunks given up"),
            ("cleaned", "were cleaned by retention"),
            ("lost", "are in no table, and no message will bring them there: lost"),
            ("duplicated", "are there more than once"),
            ("phantom", "are there although the phone was told that they are not"),
            ("unexpected", "were never sent by a phone"),
        )
        if counts.get(name)
    ]
    return text + "".join(f"; {other}" for other in others) + "."


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
