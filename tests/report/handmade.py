"""A run made by hand: what the lab leaves behind, small and exactly known."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from harness.report.logs import LogLine, read_logs
from harness.report.record import ScenarioRecord

START = datetime(2026, 11, 3, 8, 15, 0, tzinfo=UTC)
BATCH = "0f8b6d0e-53a1-4a53-9c0d-2f7f0c4f6a11"
MS = int(START.timestamp() * 1000) + 9_000
LOST_SAMPLE = "u1/d1/HKQuantityTypeIdentifierStepCount/250"
CATALOGUE = [f"{family}{number}" for family in "WBTSPCDA" for number in range(1, 14)]


def at(seconds: float) -> str:
    """A stamp so many seconds after the start."""
    return (START + timedelta(seconds=seconds)).isoformat()


def lines_of(played: ScenarioRecord) -> tuple[LogLine, ...]:
    """What its replicas said."""
    return tuple(read_logs(played.directory))


def scenario(
    identity: str,
    *,
    verdict: str = "VALID",
    anomalies: Mapping[str, Any] | None = None,
    doubt: str = "",
    planted: str | None = None,
    faulted: bool = True,
    expected: str = "VALID",
) -> dict[str, Any]:
    """One entry of run.json; with a fault unless it is the control or `faulted` is false."""
    fault = {
        "name": "kill_worker",
        "target": "worker-1",
        "injected_at": at(12.0),
        "bitten_at": at(12.06),
        "healed_at": at(15.4),
        "receipt": {
            "source": "process table",
            "before": "pid 4121 state S, 5 processes",
            "after": "exit 137, no process",
        },
    }
    lost = int((anomalies or {}).get("lost", {}).get("count", 0))
    return {
        "id": identity,
        "variant": "",
        "title": {"W6": "SIGKILL of the whole worker mid-chunk", "CONTROL": "no fault"}.get(identity, ""),
        "test": f"scenarios/test_{identity.lower()}.py::test_{identity.lower()}",
        "planted": planted,
        "faulted": faulted,
        "nets_removed": ["sweeper", "visibility timeout 1 h"] if planted else [],
        "wrong_without_fault": False,
        "expected": expected,
        "verdict": verdict,
        "doubts": [doubt] if doubt else [],
        "directory": slug(identity, planted=planted, faulted=faulted),
        "duration_s": 41.2,
        "phases_s": {"start": 6.1, "work": 14.8, "hold": 3.4, "quiesce": 12.2, "check": 4.7},
        "faults": [] if identity == "CONTROL" or not faulted else [fault],
        "counts": {
            "attempted": 20_000,
            "acknowledged": 20_000,
            "present": 19_904 - lost,
            "rejected": 96,
            "given_up": 0,
            "cleaned": 0,
            "recovered": 12,
            "lost": lost,
            "duplicated": 0,
            "unexpected": 0,
            "phantom": 0,
        },
        "witnesses": {
            "a chunk was half done when the worker died": "pg_stat_activity: worker-1 waits for transactionid"
        },
        "anomalies": dict(anomalies or {}),
        "recovery_s": {"chunk done after the heal": 2.3},
        "replay": f"lab chaos --driver processes --ids {identity} --seed 42",
    }


def slug(identity: str, *, planted: str | None, faulted: bool) -> str:
    """The name of a scenario's directory."""
    return identity + (f"--{planted}" if planted else "") + ("" if faulted else "--no-fault")


LOST = {
    "lost": {
        "count": 100,
        "first": [
            {
                "summary": f"acknowledged at 08:15:10, in no table and in no message at the deadline (no. {n})",
                "ids": {"sample": LOST_SAMPLE if n == 0 else f"{LOST_SAMPLE}{n}", "batch": BATCH, "chunk": "2"},
            }
            for n in range(20)
        ],
    },
    "silent": {
        "count": 1,
        "first": [{"summary": "nothing named the batch after the bite", "ids": {"batch": BATCH}}],
    },
}


ROWS: list[dict[str, Any]] = [
    {"row": "batch", "batch": BATCH, "index": None, "status": "PROCESSING", "created_ms": MS, "finished_ms": None,
     "dispatch_count": 1, "chunk_count": 5, "uploaded_count": 5, "done_count": 2, "failed_count": 0},
    {"row": "chunk", "batch": BATCH, "index": 2, "status": "PENDING", "created_ms": MS + 860, "finished_ms": None,
     "dispatch_count": 1, "executions": 1, "interruptions": 0, "data_attempts": 0, "infra_attempts": 0,
     "imported_count": 0, "duplicate_count": 0, "rejected_count": 0, "sample_count": 100, "is_claimed": True},
    {"row": "chunk", "batch": BATCH, "index": 3, "status": "PENDING", "created_ms": MS, "finished_ms": None},
]  # fmt: skip


def run(scenarios: Sequence[Mapping[str, Any]], *, verdict: str) -> dict[str, Any]:
    """run.json."""
    return {
        "schema": 1,
        "verdict": verdict,
        "driver": "processes",
        "seed": 42,
        "argv": ["lab", "chaos", "--driver", "processes", "--seed", "42"],
        "git": {"revision": "a3bc5c1f00aa4f0a9d3cbb6d55e5d1d3c1a0c0de", "dirty": False},
        "versions": {"python": "3.11.2", "celery": "5.6.3", "kombu": "5.6.2", "postgres": "18.0", "redis": "6.2.14"},
        "times": {"CHUNK_SOFT_LIMIT_S": 8.0, "CLAIM_TIMEOUT_S": 10.0, "CHUNK_RETRY_DELAYS_S": [1.0, 2.0, 4.0]},
        "scenarios": list(scenarios),
    }


def write_run(directory: Path, scenarios: Sequence[Mapping[str, Any]], *, verdict: str) -> Path:
    """The whole directory: run.json and every scenario's files."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "run.json").write_text(json.dumps(run(scenarios, verdict=verdict)))
    for entry in scenarios:
        write_scenario(directory / entry["directory"], is_bad=entry["verdict"] == "INVALID")
    return directory


def write_invalid_run(directory: Path) -> Path:
    """Four scenarios: the control, one that lost samples, one that proves nothing, one that was skipped."""
    entries = [
        scenario("CONTROL"),
        scenario("W6", verdict="INVALID", anomalies=LOST),
        scenario("B3", verdict="INCONCLUSIVE", doubt="hang_redis(redis) left no receipt: it may not have bitten"),
        scenario("W19", verdict="SKIPPED", doubt="needs containers"),
    ]
    return write_run(directory, entries, verdict="INVALID")


def write_planted_run(directory: Path) -> Path:
    """Four defects with and without their fault: one is wrong without it, one escapes with it."""
    caught: dict[str, Any] = {"verdict": "INVALID", "anomalies": LOST, "expected": "lost"}
    entries = [scenario("CONTROL")]
    for identity in ("W6", "W5", "B2", "S3"):
        with_fault: dict[str, Any] = {"expected": "lost"} if identity == "B2" else caught
        without: dict[str, Any] = {"verdict": "INVALID", "anomalies": LOST} if identity == "W5" else {}
        entries += [
            scenario(identity, planted="no_sweeper", **with_fault),
            scenario(identity, planted="no_sweeper", faulted=False, **without),
        ]
    return write_run(directory, entries, verdict="INVALID")


def write_large_run(directory: Path) -> Path:
    """A run of a hundred scenarios."""
    entries = [scenario("CONTROL"), *(scenario(identity) for identity in CATALOGUE[:98])]
    return write_run(directory, [*entries, scenario("X1", verdict="INVALID", anomalies=LOST)], verdict="INVALID")


def write_scenario(directory: Path, *, is_bad: bool) -> None:
    """Ledger, samples, watch and logs of one scenario."""
    logs = directory / "logs"
    logs.mkdir(parents=True)
    _lines(directory / "watch.jsonl", _watch(is_bad=is_bad))
    _lines(directory / "ledger.jsonl", _ledger())
    _lines(directory / "samples.jsonl", _samples())
    _lines(logs / "worker-1.log", _worker_log("worker-1"))
    _lines(logs / "worker-2.log", [] if is_bad else _worker_log("worker-2", after=13.5))
    _lines(logs / "api-1.log", _api_log())
    if is_bad:
        _lines(directory / "rows.jsonl", ROWS)
    (logs / "postgres.log").write_text(
        "2026-11-03 08:15:12.061 UTC [4130] LOG:  could not receive data from client: Connection reset by peer\n"
        "2026-11-03 08:15:12.070 UTC [4130] ERROR:  connection postgresql://app:hunter2@127.0.0.1/app was lost\n"
        "\tContinuation without a time\n"
    )


def _lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _watch(*, is_bad: bool) -> list[dict[str, Any]]:
    chance = random.Random(1)
    rows = []
    for step in range(132):
        now = step * 0.25
        is_dead = 12.0 <= now < 15.4
        done = min(200, int(11 * (max(0.0, min(now, 12.0) - 2) + max(0.0, now - 15.4))))
        rows.append(
            {
                "at": at(now),
                "queues": {"default": int(6 + 5 * math.sin(now / 2)) + (8 if is_dead else 0), "high": 0},
                "unacked": 2 if now < 26 else int(is_bad),
                "chunks": {"PENDING": 200 - done, "DONE": done, "FAILED": 0},
                "connections": {"api": 8 + chance.randint(0, 3), "worker": 5 if is_dead else 10, "beat": 1, "lab": 3},
                "acknowledged": min(20_000, int(now * 1_400)),
                "present": min(20_000, done * 100),
                "imports": {"api-1": 503 if is_bad and now > 20 else 200, "api-2": 200},
                "states": {
                    "api-1": "starting" if now < 1.5 else "healthy",
                    "api-2": "starting" if now < 2 else "healthy",
                    "worker-1": "down" if is_dead else "starting" if now < 2.5 or 15.4 <= now < 17 else "healthy",
                    "worker-2": "starting" if now < 2.5 else "unhealthy" if 18 < now < 19 else "healthy",
                    "beat-1": "healthy",
                    "redis": "frozen" if 20 <= now < 21.5 else "healthy",
                    "postgres": "healthy",
                },
            }
        )
    return rows


def _ledger() -> list[dict[str, Any]]:
    chance = random.Random(2)
    rows: list[dict[str, Any]] = []
    for number in range(220):
        began, took = 2.0 + number * 0.06, 0.01 + chance.random() * 0.05
        outcome = "UNKNOWN" if number % 40 == 17 else "FAILED" if number == 60 else "OK"
        attempts = [_attempt(began, took, outcome)]
        if outcome == "UNKNOWN":
            attempts.append(_attempt(began + took + 0.2, took, "OK"))
        index = 2 if number == 130 else number
        rows.append(
            {
                "op": f"d1-{number}",
                "kind": "upload_chunk",
                "user": "u1",
                "device": "d1",
                "outcome": "OK",
                "batch_key": "d1-steps-0" if number == 130 else f"d1-hr-{number}",
                "batch": BATCH if number == 130 else None,
                "index": index,
                "sample_count": 100,
                "attempts": attempts,
            }
        )
    return rows


def _attempt(began: float, took_s: float, outcome: str) -> dict[str, Any]:
    is_ok = outcome == "OK"
    return {
        "at": at(began),
        "ended": at(began + took_s),
        "took_s": took_s,
        "replica": "api-1",
        "outcome": outcome,
        "status": 200 if is_ok else 409 if outcome == "FAILED" else None,
        "code": "CONFLICT" if outcome == "FAILED" else None,
        "error": "ReadTimeout" if outcome == "UNKNOWN" else None,
    }


def _samples() -> list[dict[str, Any]]:
    return [
        {"sample": LOST_SAMPLE, "user": "u1", "device": "d1", "batch_key": "d1-steps-0", "index": 2, "position": 50},
        {
            "sample": LOST_SAMPLE + "1",
            "user": "u1",
            "device": "d1",
            "batch_key": "d1-steps-0",
            "index": 2,
            "position": 51,
        },
    ]


def _worker_log(replica: str, *, after: float = 11.0) -> list[dict[str, Any]]:
    def line(seconds: float, event: str, message: str, level: str = "INFO", **more: Any) -> dict[str, Any]:
        return {
            "ts": at(seconds),
            "level": level,
            "service": "worker",
            "replica": replica,
            "build": "dev",
            "event": event,
            "message": message,
            **more,
        }

    return [
        line(after, "chunk_started", "chunk started", batch=BATCH, chunk=2, chunk_id=77, task_id="t-77"),
        line(after + 0.4, "broker_lost", "token=s3cret, Authorization: Bearer abc.def", "WARNING"),
        *(line(after + 0.5 + n / 50, "chunk_finished", "chunk finished", batch=f"b{n}", chunk=n) for n in range(40)),
    ]


def _api_log() -> list[dict[str, Any]]:
    return [
        {
            "ts": at(9.9),
            "level": "INFO",
            "service": "api",
            "replica": "api-1",
            "event": "batch_dispatched",
            "message": "batch dispatched",
            "batch": BATCH,
        }
    ]
