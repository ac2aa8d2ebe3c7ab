"""Whom the anomalies name: chunks, batches and samples, resolved to the ids that rows and log lines carry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.report.jsonl import read_lines
from harness.report.logs import LogLine
from harness.report.record import AnomalyRecord, ScenarioRecord

ChunkKey = tuple[str, str]
"""A batch's row id and the chunk's index in it."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Named:
    """One anomaly with the chunk it is about; `chunk` is None where only a batch is named, or nothing of the kind."""

    anomaly: AnomalyRecord
    batch: str
    chunk: ChunkKey | None


@dataclass(frozen=True, slots=True)
class Accused:
    """Everything that a scenario's anomalies name."""

    named: tuple[Named, ...]
    chunks: frozenset[ChunkKey]
    batches: frozenset[str]
    samples: frozenset[str]

    def concern(self, line: LogLine) -> bool:
        """Whether a log line is about one of the chunks or samples; a line about their batch as a whole is, too."""
        if any(sample in line.text for sample in self.samples):
            return True
        told = {line.batch, *_UUID.findall(line.text)} & self.batches
        if not told:
            return False
        if not line.chunk:
            return True
        return any((batch, line.chunk) in self.chunks or not self._is_precise(batch) for batch in told)

    def _is_precise(self, batch: str) -> bool:
        return any(chunk[0] == batch for chunk in self.chunks)


def accused(scenario: ScenarioRecord) -> Accused:
    """Resolved with the ledger, which knows the row id of each batch key."""
    anomalies = [anomaly for group in scenario.anomalies for anomaly in group.first]
    if not anomalies:
        return Accused((), frozenset(), frozenset(), frozenset())
    batches = dict(_batches(scenario))
    named = tuple(_named(anomaly, batches) for anomaly in anomalies)
    return Accused(
        named=named,
        chunks=frozenset(one.chunk for one in named if one.chunk is not None),
        batches=frozenset(one.batch for one in named if one.batch),
        samples=frozenset(sample for one in anomalies if (sample := one.ids.get("sample", ""))),
    )


def index_of(ids: Mapping[str, str]) -> str:
    """The chunk's index among an anomaly's ids; empty when it names none."""
    return next((ids[name] for name in ("index", "chunk_index", "chunk") if ids.get(name, "") != ""), "")


def _named(anomaly: AnomalyRecord, batches: Mapping[str, str]) -> Named:
    batch = anomaly.ids.get("batch") or batches.get(anomaly.ids.get("batch_key", ""), "")
    index = index_of(anomaly.ids)
    return Named(anomaly=anomaly, batch=batch, chunk=(batch, index) if batch and index else None)


def _batches(scenario: ScenarioRecord) -> Iterator[tuple[str, str]]:
    for op in read_lines(scenario.directory / "ledger.jsonl", naming="batch_key"):
        if op.get("batch_key") and op.get("batch"):
            yield str(op["batch_key"]), str(op["batch"])
