"""The ledger: what devices attempted and were told, as JSON lines that are only ever appended to.

`ledger.jsonl` holds one object per op, written when the op ended; `samples.jsonl` one object per generated sample,
written before the first attempt to send it, so that what was attempted is known whatever happens to the lab.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from io import BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

OPS_FILE = "ledger.jsonl"
SAMPLES_FILE = "samples.jsonl"


class Outcome(StrEnum):
    """What is known of an op or an attempt: happened, surely had no effect, or may have happened."""

    OK = "OK"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request. `at` and `ended` are ISO 8601 UTC; `took_s` is monotonic; `status` None when no answer was read."""

    at: str
    ended: str
    took_s: float
    replica: str
    outcome: Outcome
    status: int | None = None
    code: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Op:
    """One call of a device with all its attempts.

    `wrong` says in words what about an answer was wrong. `facts` are small extra findings of one kind of op.
    """

    op: str
    kind: str
    user: str
    device: str
    outcome: Outcome
    attempts: tuple[Attempt, ...]
    batch_key: str | None = None
    batch: str | None = None
    index: int | None = None
    type: str | None = None
    sample_count: int = 0
    wrong: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tally:
    """Running counts, for progress lines and the timeline. A chunk counts once, however often it was acknowledged."""

    ops: int = 0
    attempts: int = 0
    attempted_samples: int = 0
    acknowledged_samples: int = 0
    acknowledged_chunks: int = 0
    unknown_ops: int = 0
    wrong_answers: int = 0


class Ledger:
    """The single writer of a run's ledger; any thread may call it. Every line is flushed before the call returns."""

    def __init__(self, directory: Path) -> None:
        """Opens (appends to) the two files in `directory`, which is created if need be."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._lock = threading.Lock()
        self._ops: BufferedWriter = (directory / OPS_FILE).open("ab")
        self._samples: BufferedWriter = (directory / SAMPLES_FILE).open("ab")
        self._tally = Tally()
        self._acknowledged: set[tuple[str | None, int | None]] = set()

    def samples(self, rows: Iterable[bytes]) -> None:
        """Note samples (lines without newline) before they are sent."""
        lines = list(rows)
        if not lines:
            return
        with self._lock:
            self._samples.write(b"\n".join(lines) + b"\n")
            self._samples.flush()
            self._count(attempted_samples=len(lines))

    def op(self, op: Op) -> None:
        """Note an op that has ended."""
        line = orjson.dumps(op) + b"\n"
        chunk = (op.batch_key, op.index)
        with self._lock:
            is_new = op.outcome is Outcome.OK and op.kind == "upload_chunk" and chunk not in self._acknowledged
            if is_new:
                self._acknowledged.add(chunk)
            self._ops.write(line)
            self._ops.flush()
            self._count(
                ops=1,
                attempts=len(op.attempts),
                acknowledged_samples=op.sample_count if is_new else 0,
                acknowledged_chunks=int(is_new),
                unknown_ops=int(op.outcome is Outcome.UNKNOWN),
                wrong_answers=len(op.wrong),
            )

    def _count(self, **more: int) -> None:
        now = self._tally
        self._tally = Tally(
            **{name: getattr(now, name) + more.get(name, 0) for name in Tally.__slots__},
        )

    def tally(self) -> Tally:
        """Counts so far."""
        with self._lock:
            return self._tally

    def close(self) -> None:
        """Close both files. Idempotent."""
        with self._lock:
            self._ops.close()
            self._samples.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def noted_ops(directory: Path) -> Iterator[dict[str, Any]]:
    """The ops in a ledger's directory, in the order in which they ended."""
    with (directory / OPS_FILE).open("rb") as file:
        yield from map(orjson.loads, file)
