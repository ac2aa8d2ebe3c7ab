"""A run made by hand whose chunks lose every fifth sample when they are executed again after the death of a worker.

Thirty chunks in ten batches; three of them were in the hands of worker-2 when it was killed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.report import handmade
from tests.report.handmade import MS, at

BATCHES = [f"{number:08d}-53a1-4a53-9c0d-2f7f0c4f6a11" for number in range(10)]
HARMED = [(BATCHES[1], 2), (BATCHES[4], 0), (BATCHES[7], 1)]
DROPPED = range(0, 20, 5)
PATCH = "--- a/app/healthkit/importing/chunk.py\n+++ b/app/healthkit/importing/chunk.py\n@@ -1 +1 @@\n-all\n+<most>\n"


def write(directory: Path, *, patch: str = PATCH) -> Path:
    """The whole directory of the run; `patch` empty: the run's copy is gone."""
    scenario = handmade.scenario("W6", verdict="INVALID", anomalies=_anomalies())
    scenario["faults"][0] |= {
        "target": "worker-2",
        "receipt": {"source": "s", "before": "runs", "after": "down: exit 137"},
    }
    run = handmade.run([handmade.scenario("CONTROL"), scenario], verdict="INVALID")
    run["patch"] = {"file": "/gone/change.diff", "caught_by": {"id": "W6", "kind": "lost"}}
    run["git"]["dirty"] = True
    for one in run["scenarios"]:
        one["times"] = dict(run["times"])
    directory.mkdir(parents=True)
    (directory / "run.json").write_text(json.dumps(run))
    if patch:
        (directory / "patch.diff").write_text(patch)
    logs = directory / "W6" / "logs"
    logs.mkdir(parents=True)
    _lines(directory / "W6" / "rows.jsonl", _rows())
    _lines(directory / "W6" / "ledger.jsonl", _ledger())
    _lines(directory / "W6" / "samples.jsonl", _samples())
    _lines(directory / "W6" / "watch.jsonl", _watch())
    for replica in ("worker-1", "worker-2"):
        _lines(logs / f"{replica}.log", _log(replica))
    _lines(logs / "api-1.log", _requests())
    return directory


def key_of(batch: str) -> str:
    """The idempotency key that a batch came with."""
    return f"r-u{BATCHES.index(batch)}/d0/HeartRate/b0"


def sample(batch: str, index: int, position: int) -> str:
    """A sample's name."""
    return f"r-u{BATCHES.index(batch)}/d0/HeartRate/{index * 20 + position}.0"


def _anomalies() -> dict[str, Any]:
    lost = [
        {
            "summary": f"valid sample {sample(batch, index, position)}: acknowledged, and not there",
            "ids": {
                "sample": sample(batch, index, position),
                "batch_key": key_of(batch),
                "batch": batch,
                "chunk": str(index),
                "position": str(position),
            },
        }
        for batch, index in HARMED
        for position in DROPPED
    ]
    accounting = [
        {"summary": f"chunk {index} counts 16 of 20", "ids": {"batch_key": key_of(batch), "chunk": str(index)}}
        for batch, index in HARMED
    ]
    anchors = [{"summary": "anchor passed lost samples", "ids": {"batch": batch}} for batch, _ in HARMED]
    return {
        "wrong_anchor": {"count": 3, "first": anchors},
        "wrong_accounting": {"count": 3, "first": accounting},
        "lost": {"count": 14, "first": lost},
    }


def _rows() -> Iterable[dict[str, Any]]:
    for batch in BATCHES:
        yield {"row": "batch", "batch": batch, "index": None, "status": "COMPLETED", "created_ms": MS, "chunk_count": 3}
        for index in range(3):
            is_harmed = (batch, index) in HARMED
            yield {
                "row": "chunk",
                "batch": batch,
                "index": index,
                "status": "DONE",
                "created_ms": MS,
                "finished_ms": MS + 5_000,
                "dispatch_count": 0,
                "executions": 1 + is_harmed,
                "interruptions": int(is_harmed),
                "data_attempts": 0,
                "infra_attempts": 0,
                "imported_count": 16 if is_harmed else 20,
                "duplicate_count": 0,
                "rejected_count": 0,
                "sample_count": 20,
                "is_claimed": False,
            }
    yield {"row": "message", "batch": HARMED[0][0], "index": HARMED[0][1], "status": "unacked of default"}


def _ledger() -> Iterable[dict[str, Any]]:
    attempt = {"at": at(9), "ended": at(9.1), "replica": "api-1", "outcome": "OK", "status": 200}
    for number, batch in enumerate(BATCHES):
        for index in range(3):
            yield {
                "op": f"{number}-{index}",
                "kind": "upload_chunk",
                "device": f"r-u{number}/d0",
                "outcome": "OK",
                "batch_key": key_of(batch),
                "batch": batch,
                "index": index,
                "type": "HKQuantityTypeIdentifierHeartRate",
                "attempts": [attempt],
            }


def _samples() -> Iterable[dict[str, Any]]:
    for batch in BATCHES:
        for index in range(3):
            for position in range(20):
                yield {
                    "sample": sample(batch, index, position),
                    "batch_key": key_of(batch),
                    "index": index,
                    "position": position,
                    "mark": "valid",
                }


def _watch() -> Iterable[dict[str, Any]]:
    """The first second knows no states, and a second after the kill at 12 s worker-2 still counts as healthy."""
    for step in range(100):
        now = 5 + step * 0.25
        state = "starting" if 13 <= now < 15.4 else "healthy"
        states = {"worker-1": "healthy", "worker-2": state, "redis": "healthy"} if now >= 6 else None
        yield {"at": at(now), "chunks": {"DONE": step}, "queues": {"default": 1}, "states": states}


def _log(replica: str) -> Iterable[dict[str, Any]]:
    def line(seconds: float, event: str, message: str, batch: str, index: int, level: str = "INFO") -> dict[str, Any]:
        told = {"ts": at(seconds), "level": level, "event": event, "message": message}
        return told | {"replica": replica, "batch": batch, "chunk": index}

    for number, (batch, index) in enumerate((batch, index) for batch in BATCHES for index in range(3)):
        if (batch, index) in HARMED:
            if replica == "worker-2":
                yield line(11.9, "chunk_started", "execution 1", batch, index)
            else:
                yield line(13.0, "claim_taken_over", "holder worker-2:77 lost", batch, index, "WARNING")
                yield line(13.5, "chunk_started", "execution 2", batch, index)
                yield line(13.9, "chunk_finished", "committed", batch, index)
        elif replica == f"worker-{1 + number % 2}":
            yield line(12.5, "chunk_started", "execution 1", batch, index)
            yield line(13.9, "chunk_finished", "committed", batch, index)
    if replica == "worker-1":
        yield line(33.0, "batch_seen", "long after the fault", HARMED[0][0], HARMED[0][1])


def _requests() -> Iterable[dict[str, Any]]:
    for number in range(4_000):
        message = '127.0.0.1 "POST /graphql/" 200 242 bytes 8 ms'
        yield {"ts": at(10 + number / 1_000), "level": "INFO", "event": "log", "message": message, "replica": "api-1"}


def _lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
