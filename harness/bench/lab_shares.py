"""`make bench-lab`: where a chaos run's time went, as shares, and what the configured timeouts demand of it.

python -m harness.bench.lab_shares [reports/<run>]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.lab_home import PROJECT

SHARES: Mapping[str, str] = {
    "start": "start-up",
    "work": "work",
    "hold": "fault hold",
    "quiesce": "waiting for timeouts",
    "check": "checking",
}
"""Phase of run.json to the share that it is told under, in the order of a run."""


def shares_of(scenarios: list[Mapping[str, Any]]) -> dict[str, float]:
    """Each share's part (0..1) of all phases of all scenarios; empty when nothing was timed."""
    spent = dict.fromkeys(SHARES.values(), 0.0)
    for each in scenarios:
        for phase, took_s in (each.get("phases_s") or {}).items():
            spent[SHARES.get(phase, phase)] = spent.get(SHARES.get(phase, phase), 0.0) + float(took_s or 0.0)
    whole = sum(spent.values())
    return {name: took_s / whole for name, took_s in spent.items()} if whole else {}


def demanded_s(scenario: Mapping[str, Any], times: Mapping[str, Any]) -> float:
    """Seconds that recovery may take by the configured timeouts: claim timeout and one sweep; 0 without a fault."""
    if not scenario.get("faults"):
        return 0.0
    return float(times.get("CLAIM_TIMEOUT_S", 0.0)) + float(times.get("SWEEP_INTERVAL_S", 0.0))


def table(run: Mapping[str, Any]) -> str:
    """The shares, then each scenario's recovery beside what the timeouts demand."""
    scenarios: list[Mapping[str, Any]] = list(run.get("scenarios") or ())
    of_run = run.get("times") or {}
    lines = ["where the time went:"]
    lines += [f"  {name:22} {share:6.1%}" for name, share in shares_of(scenarios).items()]
    lines.append("recovery: used beside what the timeouts demand")
    for each in scenarios:
        used_s = float((each.get("phases_s") or {}).get("quiesce") or 0.0)
        times = {**of_run, **(each.get("times") or {})}
        name = "-".join(part for part in (str(each.get("id", "?")), str(each.get("variant") or "")) if part)
        lines.append(f"  {name:28} {used_s:6.1f} s of {demanded_s(each, times):6.1f} s")
    return "\n".join(lines)


def main() -> None:
    """Read the run named, or the latest."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "reports" / "latest"
    path = directory / "run.json"
    if not path.exists():
        raise SystemExit(f"{path} is not there: run `make chaos` first")
    print(table(json.loads(path.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
