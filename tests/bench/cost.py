"""Cost of the app's path on the tables as they are, or the worker's memory while it imports very many samples.

`cost`: seconds a sample, by round, for new users; their rows are removed again, so that the tables stay as they were.
`memory`: resident MiB of this process after a warm-up of one batch and after `--samples` more, batch by batch. One JSON
line.
"""

import argparse
import json
import time
from pathlib import Path

from tests.bench.stage import Upload, upload

# isort: split
import os

from healthkit.database import execute
from healthkit.tasks import import_chunk

BATCH_CHUNKS = 50
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
OWNED = ("daily_aggregate", "data_record", "record_fingerprint", "data_source")


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("cost", "memory"))
    parser.add_argument("--chunk-size", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=2_000)
    wanted = parser.parse_args()
    batch = wanted.samples if wanted.what == "cost" else BATCH_CHUNKS * wanted.chunk_size
    run(wanted.chunk_size, batch)
    if wanted.what == "cost":
        print(json.dumps([run(wanted.chunk_size, batch) for _ in range(wanted.rounds)]))
        return
    before_mib, done = resident_mib(), 0
    while done < wanted.samples:
        done += batch
        run(wanted.chunk_size, batch)
    print(json.dumps({"samples": done, "before_mib": before_mib, "after_mib": resident_mib()}))


def run(chunk_size: int, samples: int) -> float:
    """Seconds a sample for one new user's batch, whose rows are then removed."""
    batch = upload(chunk_size=chunk_size, chunks=max(2, samples // chunk_size))
    begun = time.perf_counter()
    for index in range(len(batch.chunks)):
        if import_chunk(str(batch.batch_id), index) != "done":
            raise SystemExit(f"chunk {index} was not done")
    took_s = time.perf_counter() - begun
    forget(batch)
    return took_s / sum(map(len, batch.chunks))


def forget(batch: Upload) -> None:
    """Remove a user with everything that was imported for it."""
    of_batch = "(SELECT id FROM healthkit_import_chunk WHERE batch_id = $1)"
    execute(f"DELETE FROM healthkit_rejected_sample WHERE chunk_id IN {of_batch}", batch.batch_id)
    for table in OWNED:
        execute(f"DELETE FROM healthkit_{table} WHERE user_id = $1", batch.user_id)
    execute("DELETE FROM healthkit_import_chunk WHERE batch_id = $1", batch.batch_id)
    execute("DELETE FROM healthkit_import_batch WHERE id = $1", batch.batch_id)
    execute("DELETE FROM accounts_device WHERE user_id = $1", batch.user_id)
    execute("DELETE FROM accounts_user WHERE id = $1", batch.user_id)


def resident_mib() -> float:
    """Of this process, now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_MIB


if __name__ == "__main__":
    main()
