"""Views: one scenario each, as the page's template draws it."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from harness.report import glossary, history, logs, story, timeline
from harness.report.accused import accused
from harness.report.common import Common, common
from harness.report.excerpt import Excerpt, excerpt
from harness.report.kinds import KindView, kinds
from harness.report.logs import LogLine
from harness.report.record import ScenarioRecord

MAX_IDS = 8


@dataclass(frozen=True, slots=True)
class Table:
    """A small table of names and values."""

    title: str
    rows: tuple[tuple[str, str], ...]
    is_numeric: bool = False


@dataclass(frozen=True, slots=True)
class FaultView:
    """One row of the table of faults; times as the reader wants them."""

    name: str
    target: str
    injected: str
    bitten: str
    healed: str
    source: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class View:
    """One scenario as the template draws it; `packed` is base64 of gzipped JSON, empty when there is nothing."""

    scenario: ScenarioRecord
    is_open: bool
    common: Common | None
    kinds: tuple[KindView, ...]
    story: tuple[str, ...]
    faults: tuple[FaultView, ...]
    histories: tuple[history.History, ...]
    tables: tuple[Table, ...]
    has_timeline: bool
    has_logs: bool
    log_hint: str
    ids: tuple[str, ...]
    chart_label: str
    packed: str


def view(scenario: ScenarioRecord, *, is_open: bool, times: Mapping[str, str]) -> View:
    """What the page shows of a scenario, read from its directory. `times` are the run's, which are told once."""
    blamed = accused(scenario)
    lines = tuple(logs.read_logs(scenario.directory))
    columns = timeline.build(scenario, blamed, lines)
    kept = excerpt(scenario, blamed, lines)
    content: dict[str, Any] = {}
    if columns:
        content["timeline"] = columns
    if kept.kept:
        content["logs"] = {"lines": _log_lines(scenario, kept), "total": kept.total}
    return View(
        scenario=scenario,
        is_open=is_open,
        common=common(scenario, blamed, lines) if scenario.verdict == "INVALID" else None,
        kinds=kinds(scenario, blamed),
        story=story.story(scenario),
        faults=tuple(_fault_view(scenario)),
        histories=history.histories(scenario, lines),
        tables=_tables(scenario, times),
        has_timeline=bool(columns),
        has_logs=bool(kept.kept),
        log_hint=_log_hint(kept, bool(blamed.named)),
        ids=tuple(dict.fromkeys(one.batch for one in blamed.named if one.batch))[:MAX_IDS],
        chart_label=_chart_label(scenario),
        packed=pack(orjson.dumps(content)) if content else "",
    )


def _log_hint(kept: Excerpt, is_blaming: bool) -> str:
    text = f"{len(kept.kept):,} of the {kept.total:,} lines that all replicas wrote are in this page"
    text += ": those around the faults, warnings and errors first" if kept.total > len(kept.kept) else ""
    if is_blaming:
        text += "; those that name a harmed chunk or sample are here from its whole life, and in bold"
    return text + "."


def _log_lines(scenario: ScenarioRecord, kept: Excerpt) -> list[list[Any]]:
    """[when, replica, level, text, kind, number, whether shown unasked]; faults stand between the lines as marks."""
    lines = [
        (
            one.at,
            [
                *(f"{one.at:%H:%M:%S.%f}"[:-3], one.line.replica, one.line.level, _said(one.line)),
                " ".join(word for word, is_so in (("loud", one.line.is_loud), ("named", one.is_accused)) if is_so),
                *(one.number, int(one.is_shown)),
            ],
        )
        for one in kept.kept
    ]
    marks: list[tuple[datetime, list[Any]]] = [
        (at, [f"{at:%H:%M:%S.%f}"[:-3], fault.target, "", f"— {fault.name} {word} —", "mark", None, 1])
        for fault in scenario.faults
        for at, word in ((fault.injected_at, "injected"), (fault.bitten_at, "bit"), (fault.healed_at, "healed"))
        if at is not None
    ]
    return [line for _, line in sorted(lines + marks, key=lambda item: item[0])]


def _said(line: LogLine) -> str:
    return f"{line.event}: {line.text}" if line.event not in ("", "log") and line.event not in line.text else line.text


def _fault_view(scenario: ScenarioRecord) -> list[FaultView]:
    return [
        FaultView(
            name=fault.name,
            target=fault.target,
            injected=f"{fault.injected_at:%H:%M:%S.%f}"[:-3] if fault.injected_at else "never",
            bitten=_after(fault.injected_at, fault.bitten_at),
            healed=_after(fault.injected_at, fault.healed_at),
            source=fault.source or "no receipt",
            before=fault.before,
            after=fault.after,
        )
        for fault in scenario.faults
    ]


def _after(start: datetime | None, at: datetime | None) -> str:
    return f"+{(at - start).total_seconds():.2f} s" if start is not None and at is not None else "never seen"


def _chart_label(scenario: ScenarioRecord) -> str:
    faults = ", ".join(f"{fault.name} on {fault.target}" for fault in scenario.faults) or "no fault"
    return (
        f"Timeline of {scenario.label}: states of the services, queue depth and unacked messages, chunks by state, "
        f"samples per second, request latency and connections over one time axis; shaded: {faults}; marked: claims "
        "taken over, chunks executed again, chunks with lost samples. "
        "The same in words is in the list below it."
    )


def _tables(scenario: ScenarioRecord, times: Mapping[str, str]) -> tuple[Table, ...]:
    own = {name: text for name, text in scenario.times.items() if times.get(name) != text}
    tables = (
        Table("Samples", tuple((name, f"{count:,}") for name, count in scenario.counts.items()), is_numeric=True),
        Table("Witnesses", tuple(scenario.witnesses.items())),
        Table("Recovery", _seconds(scenario.recovery_s), is_numeric=True),
        Table("Phases", _seconds(scenario.phases_s), is_numeric=True),
        Table("Times of its own", bounds(own)),
    )
    return tuple(table for table in tables if table.rows)


def _seconds(values: Mapping[str, float]) -> tuple[tuple[str, str], ...]:
    return tuple((name, f"{value:.2f} s") for name, value in values.items())


def bounds(times: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The stack's times with their unit and what they bound."""
    return tuple(
        (name, f"{text} s" + (f" — {glossary.TIMES[name]}" if name in glossary.TIMES else ""))
        for name, text in times.items()
    )


def pack(content: bytes) -> str:
    """Base64 of gzip; the same content gives the same text."""
    return base64.b64encode(gzip.compress(content, compresslevel=6, mtime=0)).decode()
