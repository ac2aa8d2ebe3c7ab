"""A run as run.json tells it, parsed once; everything else in the report works on these."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.anomaly import gravity
from harness.errors import LabError

PATCH_FILE = "patch.diff"
"""The copy of an applied patch, in the run's directory."""
VERDICTS = ("INVALID", "INCONCLUSIVE", "SKIPPED", "VALID")


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One fault with its receipt; the three stamps are aware UTC, None where it did not come to that."""

    name: str
    target: str
    injected_at: datetime | None
    bitten_at: datetime | None
    healed_at: datetime | None
    source: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class AnomalyRecord:
    """One counter-example."""

    kind: str
    summary: str
    ids: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AnomalyGroup:
    """All anomalies of one kind: how many, and the first of them."""

    kind: str
    count: int
    first: tuple[AnomalyRecord, ...]


@dataclass(frozen=True, slots=True)
class ScenarioRecord:
    """One scenario as it ran. `directory` holds its ledger, samples, watch and logs; it may be missing.

    `doubts` say why it is INCONCLUSIVE or SKIPPED.
    """

    id: str
    variant: str
    title: str
    test: str
    planted: str
    faulted: bool
    nets_removed: tuple[str, ...]
    wrong_without_fault: bool
    expected: str
    verdict: str
    doubts: tuple[str, ...]
    duration_s: float
    phases_s: Mapping[str, float]
    faults: tuple[FaultRecord, ...]
    counts: Mapping[str, int]
    witnesses: Mapping[str, str]
    anomalies: tuple[AnomalyGroup, ...]
    recovery_s: Mapping[str, float]
    times: Mapping[str, str]
    replay: str
    directory: Path

    @property
    def label(self) -> str:
        """How people call it: `W6`, `W1[warm]`, `W6 × no_sweeper`, `W6 × no_sweeper, no fault`."""
        label = self.id + (f"[{self.variant}]" if self.variant else "")
        if self.planted:
            label += f" × {self.planted}"
            if not self.faulted:
                label += ", no fault"
        return label

    @property
    def anchor(self) -> str:
        """Its address inside the report: only letters, digits and dashes, unique in a run."""
        parts = [self.id, self.variant, self.planted, "" if self.faulted else "no-fault"]
        return "s-" + "-".join("".join(c if c.isalnum() else "-" for c in part) for part in parts if part)

    @property
    def is_as_expected(self) -> bool:
        """Whether the verdict is the one declared: VALID, or INVALID by the declared kind. One that was skipped is."""
        if self.verdict == "SKIPPED":
            return True
        if self.expected == "VALID":
            return self.verdict == "VALID"
        return self.verdict == "INVALID" and any(group.kind == self.expected for group in self.anomalies)

    @property
    def anomaly_count(self) -> int:
        """How many anomalies of all kinds."""
        return sum(group.count for group in self.anomalies)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A whole run. `patch` is empty unless a patch was applied; `caught_by` then says what caught it, or is empty.

    `patch_text` is the patch as it was applied, empty when no copy of it is left.
    """

    directory: Path
    name: str
    verdict: str
    driver: str
    seed: str
    argv: tuple[str, ...]
    revision: str
    is_dirty: bool
    versions: Mapping[str, str]
    times: Mapping[str, str]
    patch: str
    patch_text: str
    caught_by: str
    scenarios: tuple[ScenarioRecord, ...]

    @property
    def is_planted(self) -> bool:
        """Whether the run is one of planted defects, where INVALID is what one wants to see."""
        return any(scenario.planted for scenario in self.scenarios)

    def count(self, verdict: str) -> int:
        """How many scenarios ended so."""
        return sum(scenario.verdict == verdict for scenario in self.scenarios)


def read(run_directory: Path) -> RunRecord:
    """Parse `run.json` of a run. Raises: LabError when there is none, or it is not one of ours."""
    path = run_directory / "run.json"
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise LabError(
            f"expected a run in {run_directory}, but it holds no run.json; `lab report RUN` wants the "
            "directory of a run, such as reports/latest"
        ) from error
    except ValueError as error:
        raise LabError(f"{path} is not JSON: {error}") from error
    if not isinstance(raw, dict) or raw.get("schema") != 1:
        raise LabError(f"{path}: expected an object with schema 1, seen schema {_peek(raw)}")
    git = raw.get("git") or {}
    patch = raw.get("patch") or {}
    caught = patch.get("caught_by") or {}
    return RunRecord(
        directory=run_directory,
        name=run_directory.resolve().name,
        verdict=str(raw.get("verdict", "INCONCLUSIVE")),
        driver=str(raw.get("driver", "")),
        seed=str(raw.get("seed", "")),
        argv=tuple(str(word) for word in raw.get("argv") or ()),
        revision=str(git.get("revision", "")),
        is_dirty=bool(git.get("dirty")),
        versions=_texts(raw.get("versions")),
        times=_texts(raw.get("times")),
        patch=str(patch.get("file", "")),
        patch_text=_patch_text(run_directory) if patch else "",
        caught_by=f"{caught.get('id', '')}: {caught.get('kind', '')}" if caught else "",
        scenarios=tuple(parse_scenario(one, run_directory=run_directory) for one in raw.get("scenarios") or ()),
    )


def _patch_text(run_directory: Path) -> str:
    path = run_directory / PATCH_FILE
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _peek(raw: object) -> str:
    return repr(raw.get("schema")) if isinstance(raw, dict) else type(raw).__name__


def parse_scenario(raw: Mapping[str, Any], *, run_directory: Path) -> ScenarioRecord:
    """One entry of `scenarios`; what is missing counts as empty."""
    identity = str(raw["id"])
    variant, planted = str(raw.get("variant") or ""), str(raw.get("planted") or "")
    faulted = bool(raw.get("faulted", True))
    groups: Mapping[str, Any] = raw.get("anomalies") or {}
    return ScenarioRecord(
        id=identity,
        variant=variant,
        title=str(raw.get("title") or ""),
        test=str(raw.get("test") or ""),
        planted=planted,
        faulted=faulted,
        nets_removed=tuple(str(net) for net in raw.get("nets_removed") or ()),
        wrong_without_fault=bool(raw.get("wrong_without_fault")),
        expected=str(raw.get("expected") or "VALID"),
        verdict=str(raw.get("verdict") or "INCONCLUSIVE"),
        doubts=tuple(str(doubt) for doubt in raw.get("doubts") or ()),
        duration_s=float(raw.get("duration_s") or 0.0),
        phases_s={str(name): float(value) for name, value in (raw.get("phases_s") or {}).items() if value is not None},
        faults=tuple(_fault(one) for one in raw.get("faults") or ()),
        counts={str(name): int(value) for name, value in (raw.get("counts") or {}).items() if value is not None},
        witnesses=_texts(raw.get("witnesses")),
        anomalies=tuple(_group(kind, groups[kind]) for kind in sorted(groups, key=gravity)),
        recovery_s={
            str(name): float(value) for name, value in (raw.get("recovery_s") or {}).items() if value is not None
        },
        times=_texts(raw.get("times")),
        replay=str(raw.get("replay") or ""),
        directory=run_directory / str(raw.get("directory") or identity),
    )


def _group(kind: str, raw: Mapping[str, Any]) -> AnomalyGroup:
    first = tuple(_anomaly(kind, one) for one in raw.get("first") or ())
    return AnomalyGroup(kind=kind, count=int(raw.get("count", len(first))), first=first)


def _anomaly(kind: str, raw: object) -> AnomalyRecord:
    if isinstance(raw, Mapping):
        rest = {name: value for name, value in raw.items() if name not in ("kind", "summary", "ids")}
        return AnomalyRecord(kind=kind, summary=str(raw.get("summary", "")), ids=_texts({**rest, **raw.get("ids", {})}))
    return AnomalyRecord(kind=kind, summary=str(raw), ids={})


def _fault(raw: Mapping[str, Any]) -> FaultRecord:
    receipt = raw.get("receipt") or {}
    return FaultRecord(
        name=str(raw.get("name", "")),
        target=str(raw.get("target", "")),
        injected_at=stamp(raw.get("injected_at")),
        bitten_at=stamp(raw.get("bitten_at")),
        healed_at=stamp(raw.get("healed_at")),
        source=str(receipt.get("source", "")),
        before=text_of(receipt.get("before", "")),
        after=text_of(receipt.get("after", "")),
    )


def stamp(raw: object) -> datetime | None:
    """An ISO 8601 text as an aware UTC stamp; None for anything else."""
    if not isinstance(raw, str) or not raw:
        return None
    try:
        at = datetime.fromisoformat(raw.replace(" ", "T", 1).replace("Z", "+00:00"))
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def stamp_of_ms(ms: object) -> datetime | None:
    """Milliseconds since the epoch as an aware UTC stamp; None for anything else."""
    return datetime.fromtimestamp(ms / 1000, UTC) if isinstance(ms, int) else None


def text_of(value: object) -> str:
    """A JSON value as a person reads it."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text_of(one)}" for name, one in value.items())
    if isinstance(value, Sequence):
        return ", ".join(text_of(one) for one in value)
    return json.dumps(value)


def _texts(raw: object) -> dict[str, str]:
    if not isinstance(raw, Mapping):
        return {}
    return {str(name): text_of(value) for name, value in raw.items()}
