"""run.json: what a run says to machines. `docs/run-json.md` describes it; a test holds every run to it."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from harness.anomaly import MORE, Anomaly, gravity
from harness.clock import utc_now
from harness.receipt import Injected
from harness.redaction import redact
from harness.rows.row import Row
from harness.verdict import ExitCode, Verdict, verdict_of

SCHEMA: Final = 1
FIRST: Final = 20
COUNTS: Final = (
    "attempted", "acknowledged", "present", "rejected", "given_up", "cleaned",
    "recovered", "lost", "duplicated", "unexpected", "phantom",
)  # fmt: skip
PHASES: Final = ("start", "work", "hold", "quiesce", "check")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioRecord:
    """One scenario as it ended. Durations in seconds; `doubts` say in words why it is INCONCLUSIVE or SKIPPED."""

    row: Row
    test: str
    planted: str | None
    faulted: bool
    nets_removed: tuple[str, ...]
    wrong_without_fault: bool
    expected: str
    verdict: Verdict
    duration_s: float
    phases_s: Mapping[str, float]
    faults: tuple[Injected, ...]
    counts: Mapping[str, int]
    witnesses: Mapping[str, Any]
    anomalies: tuple[Anomaly, ...]
    doubts: tuple[str, ...]
    recovery_s: Mapping[str, float]
    replay: str
    times: Mapping[str, Any]
    directory: str
    lab_failed: bool = False
    heal_failed: bool = False

    def label(self) -> str:
        """As the verdict table names it: `W6`, `W1[warm]`, `W6 × no_sweeper`, `W6 × no_sweeper, no fault`."""
        planted = f" × {self.planted}" + ("" if self.faulted else ", no fault") if self.planted else ""
        return self.row.label() + planted

    def is_as_expected(self) -> bool:
        """Whether it ended as declared: VALID, or INVALID with (at least) the declared anomaly; or was skipped."""
        if self.verdict is Verdict.SKIPPED:
            return True
        if self.expected == Verdict.VALID:
            return self.verdict is Verdict.VALID
        return self.verdict is Verdict.INVALID and self.expected in {each.kind.value for each in self.anomalies}

    def gravest(self) -> Anomaly | None:
        """The anomaly to name first: what is lost says more than what follows from it."""
        return min(self.anomalies, key=lambda each: gravity(each.kind), default=None)

    def reason(self) -> str:
        """The gravest anomaly or the first doubt in words, or empty."""
        gravest = self.gravest()
        if gravest is not None:
            return f"{gravest.kind}: {gravest.summary}"
        return self.doubts[0] if self.doubts else ""

    def as_json(self) -> dict[str, Any]:
        """Its object in run.json."""
        return {
            "id": self.row.id,
            "variant": self.row.variant,
            "title": redact(self.row.title),
            "test": self.test,
            "planted": self.planted,
            "faulted": self.faulted,
            "nets_removed": list(self.nets_removed),
            "wrong_without_fault": self.wrong_without_fault,
            "expected": self.expected,
            "verdict": self.verdict.value,
            "as_expected": self.is_as_expected(),
            "reason": redact(self.reason()),
            "doubts": [redact(each) for each in self.doubts],
            "duration_s": round(self.duration_s, 3),
            "phases_s": {phase: round(self.phases_s.get(phase, 0.0), 3) for phase in PHASES},
            "faults": [_fault_json(each) for each in self.faults],
            "counts": {name: self.counts.get(name, 0) for name in COUNTS},
            "witnesses": _plain(self.witnesses),
            "anomalies": _anomalies_json(self.anomalies),
            "recovery_s": {name: round(value, 3) for name, value in self.recovery_s.items()},
            "times": dict(self.times),
            "directory": self.directory,
            "replay": redact(self.replay),
        }


@dataclass(slots=True, kw_only=True)
class RunRecord:
    """A whole run; written anew after every scenario, so that a lab that dies leaves what it had proven."""

    directory: Path
    driver: str
    seed: int
    argv: Sequence[str]
    times: Mapping[str, Any]
    root: Path
    started_at: datetime = field(default_factory=utc_now)
    versions: Mapping[str, str] = field(default_factory=dict)
    scenarios: list[ScenarioRecord] = field(default_factory=list)
    patch: Mapping[str, Any] | None = None
    code: ExitCode = ExitCode.LAB_FAILED

    def write(self) -> Path:
        """Write run.json in one piece; returns its path."""
        path = self.directory / "run.json"
        temporary = path.with_suffix(".json.new")
        temporary.write_bytes(orjson.dumps(self.as_json(), option=orjson.OPT_INDENT_2))
        temporary.replace(path)
        return path

    def as_json(self) -> dict[str, Any]:
        """The whole of run.json."""
        body: dict[str, Any] = {
            "schema": SCHEMA,
            "verdict": verdict_of(self.code).value,
            "exit_code": int(self.code),
            "driver": self.driver,
            "seed": self.seed,
            "argv": [redact(each) for each in self.argv],
            "git": git_state(self.root),
            "versions": dict(self.versions),
            "times": dict(self.times),
            "started_at": self.started_at.isoformat(),
            "ended_at": utc_now().isoformat(),
            "scenarios": [each.as_json() for each in self.scenarios],
        }
        return body if self.patch is None else {**body, "patch": dict(self.patch)}


def new_run_directory(root: Path) -> Path:
    """`reports/<utc>-<short id>`, and the link `reports/latest` to it."""
    reports = root / "reports"
    directory = reports / f"{utc_now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    directory.mkdir(parents=True)
    link = reports / f".latest-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(directory.name)
    link.replace(reports / "latest")
    return directory


def git_state(root: Path) -> dict[str, Any]:
    """Revision and whether the tree differs from it; `unknown` outside a git checkout."""

    def git(*words: str) -> str | None:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False, timeout=20)
        return done.stdout.strip() if done.returncode == 0 else None

    try:
        revision, status = git("rev-parse", "HEAD"), git("status", "--porcelain")
    except FileNotFoundError:
        revision = status = None
    return {"revision": revision or "unknown", "dirty": bool(status) or revision is None}


def _fault_json(fault: Injected) -> dict[str, Any]:
    def stamp(at: datetime | None) -> str | None:
        return at.isoformat() if at else None

    receipt = fault.receipt
    return {
        "name": fault.name,
        "target": fault.target,
        "injected_at": stamp(fault.injected_at),
        "bitten_at": stamp(fault.bitten_at),
        "healed_at": stamp(fault.healed_at),
        "receipt": {
            "source": receipt.source if receipt else "",
            "before": redact(receipt.before) if receipt else None,
            "after": redact(receipt.after) if receipt else None,
        },
    }


def _anomalies_json(anomalies: Sequence[Anomaly]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in anomalies:
        entry = found.setdefault(each.kind.value, {"count": 0, "first": []})
        entry["count"] += each.number
        if len(entry["first"]) < FIRST and MORE not in each.ids:
            entry["first"].append({"summary": redact(each.summary), "ids": dict(each.ids)})
    return found


def _plain(value: Any) -> Any:
    """JSON as it is, anything else as redacted text."""
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {str(name): _plain(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(each) for each in value]
        case _:
            return redact(str(value))
