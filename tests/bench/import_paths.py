"""Seconds per round of three ways to import the same samples, in turn, on one Postgres; one JSON line a chunk size.

- loop: the articles' loop, `update_or_create` for each sample, as Django runs it (each in its own transaction), on a
  table with the constraints of records; it neither claims, nor fingerprints, nor aggregates, nor rejects.
- loop_atomic: the same loop in one transaction a chunk, kinder to it than the articles are.
- app: the task as a worker runs it: duplicate lock, claim, parsing, validation, the import transaction, publishing the
  next chunk.
- copy: COPY of the same rows into tables with the columns, indexes and constraints of records and fingerprints, one
  commit a chunk. The rows are ready in memory: the limit of what Postgres takes.
"""

import argparse
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from tests.bench.stage import HEART_RATE, SOURCE, UNIT, Upload, upload

# isort: split
from django.db import connection, transaction

from healthkit.database import fetch_one, raw_connection
from healthkit.tasks import import_chunk
from tests.bench.twins import COPY_FINGERPRINT, COPY_RECORD, LoopRecord, make_twins

LOOP = (100, 2)  # chunk size and chunks: it is slow, and its cost a sample does not depend on the chunk

Path = Callable[[Upload], float]


def main() -> None:
    """Warm up, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--chunk-size", type=int, default=100)
    parser.add_argument("--samples", type=int, default=4_000)
    wanted = parser.parse_args()
    make_twins()
    chunks = max(2, wanted.samples // wanted.chunk_size)
    paths: dict[str, Path] = {"loop": run_loop, "loop_atomic": run_loop_atomic, "app": run_app, "copy": run_copy}
    for path in paths.values():  # until the statements have their generic plans
        path(upload(chunk_size=20, chunks=8))
    rounds: list[dict[str, float]] = []
    for _ in range(wanted.rounds):
        rounds.append({})
        for name, path in paths.items():
            chunk_size, count = (wanted.chunk_size, chunks) if name in ("app", "copy") else LOOP
            rounds[-1][name] = path(upload(chunk_size=chunk_size, chunks=count))
    print(json.dumps({"chunk_size": wanted.chunk_size, "rounds": rounds}))


def run_app(batch: Upload) -> float:
    """Samples per second of the app's task."""
    begun = time.perf_counter()
    for index in range(len(batch.chunks)):
        outcome = import_chunk(str(batch.batch_id), index)
        if outcome != "done":
            raise SystemExit(f"chunk {index} ended {outcome}")
    return sum(map(len, batch.chunks)) / (time.perf_counter() - begun)


def run_loop(batch: Upload) -> float:
    """Samples per second of the articles' loop."""
    return _loop(batch, chunk_write=_write_each)


def run_loop_atomic(batch: Upload) -> float:
    """Samples per second of the loop in one transaction a chunk."""
    return _loop(batch, chunk_write=transaction.atomic(_write_each))


def _loop(batch: Upload, *, chunk_write: Callable[[Sequence[dict[str, Any]], dict[str, int]], None]) -> float:
    ids = _ids(batch)
    texts = [json.dumps(chunk) for chunk in batch.good]
    begun = time.perf_counter()
    for text in texts:
        chunk_write(json.loads(text), ids)
    return sum(map(len, batch.good)) / (time.perf_counter() - begun)


def _write_each(chunk: Sequence[dict[str, Any]], ids: dict[str, int]) -> None:
    for sample in chunk:
        LoopRecord.objects.update_or_create(
            user_id=ids["user_id"],
            hk_uuid=uuid.UUID(sample["uuid"]),
            defaults={
                "type_id": ids["type_id"],
                "source_id": ids["source_id"],
                "chunk_id": ids["chunk_id"],
                "start_at": datetime.fromisoformat(sample["start"]),
                "end_at": datetime.fromisoformat(sample["end"]),
                "value": sample["value"],
                "unit": sample["unit"],
            },
        )


def run_copy(batch: Upload) -> float:
    """Samples per second of COPY into both tables, one commit a chunk."""
    ids = _ids(batch)
    blocks = [_block(chunk, ids) for chunk in batch.good]
    raw = raw_connection()
    begun = time.perf_counter()
    for records, fingerprints in blocks:
        with raw.transaction():
            with raw.cursor().copy(
                f"COPY {COPY_RECORD} (user_id, type_id, source_id, chunk_id, hk_uuid, start_at, end_at, value, unit)"
                " FROM STDIN"
            ) as copy:
                copy.write(records)
            with raw.cursor().copy(f"COPY {COPY_FINGERPRINT} (user_id, fingerprint, hk_uuid) FROM STDIN") as copy:
                copy.write(fingerprints)
    return sum(map(len, batch.good)) / (time.perf_counter() - begun)


def _block(chunk: Sequence[dict[str, Any]], ids: dict[str, int]) -> tuple[str, str]:
    """Both tables' rows of a chunk as COPY text."""
    key = f"{ids['user_id']}\t{ids['type_id']}\t{ids['source_id']}\t{ids['chunk_id']}"
    records = [f"{key}\t{each['uuid']}\t{each['start']}\t{each['end']}\t{each['value']}\t{UNIT}\n" for each in chunk]
    fingerprints = [
        f"{ids['user_id']}\t\\\\x{hashlib.sha256(each['uuid'].encode()).hexdigest()}\t{each['uuid']}\n"
        for each in chunk
    ]
    return "".join(records), "".join(fingerprints)


def _ids(batch: Upload) -> dict[str, int]:
    """Row ids that the rows of a batch name."""
    row = fetch_one(
        "WITH s AS (INSERT INTO healthkit_data_source (user_id, identifier, name, kind, precedence)"
        " VALUES ($1, $2, 'Watch', 'watch', 1) RETURNING id)"
        " SELECT s.id, (SELECT id FROM healthkit_sample_type WHERE identifier = $3),"
        " (SELECT min(id) FROM healthkit_import_chunk WHERE batch_id = $4) FROM s",
        batch.user_id,
        SOURCE["id"],
        HEART_RATE,
        batch.batch_id,
    )
    assert row is not None
    return {"user_id": batch.user_id, "source_id": row[0], "type_id": row[1], "chunk_id": row[2]}


if __name__ == "__main__":
    main()
    connection.close()
