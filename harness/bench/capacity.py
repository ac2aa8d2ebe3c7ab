"""Writes the capacity page: what one of each carries and what comes first, computed from the measured figures.

python -m harness.bench.capacity [latest.json] [capacity.md]      both in reports/bench unless told otherwise
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.lab_home import PROJECT

BENCH = PROJECT / "reports" / "bench"
USERS = (1_000, 100_000, 10_000_000)
SAMPLES_PER_USER_DAY = 1_150  # about 35,000 in thirty days
PEAK_FACTOR = 4.0  # of the mean: phones sync in the morning
SECONDS_PER_DAY = 86_400.0
WAL_BYTES_PER_SAMPLE = 900.0  # record, fingerprint, five index entries, a share of the raw chunk
STORED_BYTES_PER_SAMPLE = 520.0  # the same, at rest, with indexes
MESSAGE_BYTES = 1_200.0  # one queued chunk in Redis
CHILDREN = 4  # of one worker
CONNECTIONS_PER_API, CONNECTIONS_PER_WORKER, CONNECTIONS_PER_BEAT = 8, CHILDREN + 2, 1  # at most: docs/configuration.md
MAX_CONNECTIONS = 100
WAL_LIMIT_BYTES_PER_S = 50e6  # sustained by one disk with full-page writes and a replica
POSTGRES_CORES_LIMIT = 16
CHUNK = 100


@dataclass(frozen=True, slots=True)
class Load:
    """What a number of users asks for at the peak."""

    users: int
    samples_per_s: float
    worker_children: float
    postgres_cores: float
    connections: float
    wal_bytes_per_s: float
    stored_bytes_per_year: float
    queue_bytes_per_hour_of_outage: float


def load_of(users: int, *, samples_per_s_child: float, accept_p95_s: float) -> Load:
    """`samples_per_s_child` is what one process imports, Postgres included; half of its time is Postgres'."""
    peak = users * SAMPLES_PER_USER_DAY / SECONDS_PER_DAY * PEAK_FACTOR
    children = peak / samples_per_s_child
    api_threads = peak / CHUNK * accept_p95_s
    apis = max(2.0, api_threads / CONNECTIONS_PER_API)
    workers = max(1.0, children / CHILDREN)
    return Load(
        users=users,
        samples_per_s=peak,
        worker_children=children,
        postgres_cores=children / 2,
        connections=apis * CONNECTIONS_PER_API + workers * CONNECTIONS_PER_WORKER + CONNECTIONS_PER_BEAT,
        wal_bytes_per_s=peak * WAL_BYTES_PER_SAMPLE,
        stored_bytes_per_year=users * SAMPLES_PER_USER_DAY * 365 * STORED_BYTES_PER_SAMPLE,
        queue_bytes_per_hour_of_outage=peak * 3600 / CHUNK * MESSAGE_BYTES,
    )


def limits_of(load: Load) -> list[str]:
    """Which limits it passes, the one that is exceeded most first, each with what to change then."""
    found = [
        (load.connections / MAX_CONNECTIONS, "connections: pool them (PgBouncer 1.21 or later, transaction mode)"),
        (load.wal_bytes_per_s / WAL_LIMIT_BYTES_PER_S, "WAL: several Postgres by user, or larger chunks"),
        (load.postgres_cores / POSTGRES_CORES_LIMIT, "Postgres' CPU: several Postgres by user"),
        (load.stored_bytes_per_year / 2e12, "size: partition records by month, detach what retention would delete"),
        (load.queue_bytes_per_hour_of_outage / 1e9, "queue memory in an outage: several brokers by user"),
    ]
    return [f"{words} ({over:.1f} ×)" for over, words in sorted(found, reverse=True) if over > 1.0]


def page(result: Mapping[str, Any]) -> str:
    """The page in Markdown."""
    per_s = float(result["import"]["samples_per_s"]["app"])
    accept_s = float(result["accept"]["p95_s"]["app"])
    loads = [load_of(users, samples_per_s_child=per_s, accept_p95_s=accept_s) for users in USERS]
    rows = "\n".join(
        f"| {each.users:,} | {each.samples_per_s:,.0f} | {each.worker_children:,.1f} | {each.postgres_cores:,.1f} |"
        f" {each.connections:,.0f} | {each.wal_bytes_per_s / 1e6:,.1f} | {each.stored_bytes_per_year / 1e12:,.2f} |"
        f" {each.queue_bytes_per_hour_of_outage / 1e6:,.0f} |"
        for each in loads
    )
    changes = "\n".join(
        f"- **{each.users:,} users**: " + ("; ".join(limits_of(each)) or "one of each is enough") for each in loads
    )
    users_per_sample = SECONDS_PER_DAY / SAMPLES_PER_USER_DAY / PEAK_FACTOR
    per_worker = per_s * CHILDREN * users_per_sample
    per_postgres = per_s * POSTGRES_CORES_LIMIT * 2 * users_per_sample
    state = "" if result["is_full"] else " **The measurement was a rehearsal: read the method, not the figures.**"
    return f"""# Capacity

Made by `python -m harness.bench.capacity` from a `make bench` of {result["at"]}
on {result["machine"]["cpus"]} cores, load average {result["machine"]["load_1m"]:.1f}.{state} Do not edit.

Measured: one worker child imports {per_s:,.0f} samples a second ({CHUNK} a chunk); accepting a chunk takes
{accept_s * 1e3:.0f} ms at the 95th percentile. Assumed: {SAMPLES_PER_USER_DAY:,} samples a user and day, a peak of
{PEAK_FACTOR:g} × the mean; {WAL_BYTES_PER_SAMPLE:g} bytes of WAL and {STORED_BYTES_PER_SAMPLE:g} at rest a sample;
{MESSAGE_BYTES:g} bytes a queued message. `queue MB/h` is what an hour without workers piles up. `connections` is
the most: {CONNECTIONS_PER_API} an API replica (two at least), {CONNECTIONS_PER_WORKER} a worker,
{CONNECTIONS_PER_BEAT} beat.

One worker ({CHILDREN} children) carries {per_worker:,.0f} users if it has the cores. One Postgres of
{POSTGRES_CORES_LIMIT} cores carries {per_postgres:,.0f}. One Redis is never
first: in steady state it holds at most one message a batch (chunks of a batch follow one another).

| users | samples/s at peak | worker children | Postgres cores | connections | WAL MB/s | TB a year | queue MB/h |
|---|---|---|---|---|---|---|---|
{rows}

What is passed first, and what to change then:

{changes}
"""


def main() -> None:
    """Read the figures, write the page."""
    figures = Path(sys.argv[1]) if len(sys.argv) > 1 else BENCH / "latest.json"
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else BENCH / "capacity.md"
    target.write_text(page(json.loads(figures.read_text(encoding="utf-8"))), encoding="utf-8")
    print(f"written: {target}")


if __name__ == "__main__":
    main()
