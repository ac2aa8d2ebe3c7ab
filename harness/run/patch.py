"""PATCH: somebody's own defect, applied to a copy of the app, to see whether the lab would notice."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import LabError
from harness.report.record import PATCH_FILE
from harness.run_record import ScenarioRecord
from harness.verdict import ExitCode, Verdict

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Caught:
    """The first scenario that told a patched app from a sound one, and its gravest anomaly."""

    label: str
    id: str
    kind: str
    summary: str


def patched_copy(patch: Path, *, root: Path, into: Path) -> Path:
    """Copy `root/app` to `into/patched/app` and apply the diff there (paths as from the project's root).

    Returns the copy; the diff itself is kept as `into/patch.diff`, for the report.

    Raises: LabError when the file is missing, does not apply, or changes something outside app/.
    """
    if not patch.is_file():
        raise LabError(f"PATCH={patch}: no such file")
    copy = into / "patched"
    shutil.copytree(root / "app", copy / "app", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    shutil.copyfile(patch, into / PATCH_FILE)
    # A ceiling keeps git from finding the project's own repository, in which it would quietly apply nothing.
    env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(into)}
    errors: list[str] = []
    for strip in ("-p1", "-p0"):
        command = ["git", "apply", strip, "--whitespace=nowarn", str(patch.resolve())]
        listed = _run([*command, "--numstat"], cwd=copy, env=env)
        outside = [line for line in listed.stdout.splitlines() if not line.split("\t")[-1].startswith("app/")]
        if listed.returncode != 0 or outside or not listed.stdout.strip():
            errors.append(
                listed.stderr.strip() or f"{strip}: not under app/: {', '.join(outside) or 'nothing to apply'}"
            )
            continue
        applied = _run(command, cwd=copy, env=env)
        if applied.returncode == 0:
            return copy / "app"
        errors.append(applied.stderr.strip())
    raise LabError(f"PATCH={patch} does not apply to app/:\n" + "\n".join(errors))


def caught_by(scenarios: Sequence[ScenarioRecord]) -> Caught | None:
    """The gravest anomaly of the first scenario that is INVALID."""
    for played in scenarios:
        gravest = played.gravest()
        if played.verdict is Verdict.INVALID and gravest is not None:
            return Caught(label=played.label(), id=played.row.id, kind=gravest.kind.value, summary=gravest.summary)
    return None


def patch_block(patch: Path, caught: Caught | None) -> dict[str, Any]:
    """The `patch` object of run.json."""
    return {"file": str(patch), "caught_by": {"id": caught.id, "kind": caught.kind} if caught else None}


def patch_code(code: ExitCode, caught: Caught | None) -> ExitCode:
    """Caught = 1; not caught = 0, unless the run itself could not tell (2) or the lab failed (3)."""
    if code is ExitCode.LAB_FAILED and caught is None:
        return code
    return ExitCode.INVALID if caught else code


def _run(command: list[str], *, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
