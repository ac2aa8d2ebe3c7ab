"""`make bench`: all measures, one after another, into reports/bench/latest.json and a picture.

    python -m harness.bench.run [--quick] [--driver auto|containers|processes]

By default some ten minutes on two idle cores: ten million existing records and a ledger of ten million samples.
`--quick` is a rehearsal with a hundredth of that; its figures say nothing about millions, and the file says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import redis

from harness.bench.accept import Load, measure_accept
from harness.bench.app_env import app_env, migrate, run_app
from harness.bench.figures import ratio_of_rounds, slope_per_decade, verdict_of
from harness.bench.picture import draw
from harness.bench.stores import BenchStores, bench_stores
from harness.bench.world import World, fill_postgres, write_ledger
from harness.clock import utc_now
from harness.errors import DriverError
from harness.interrupt import interruptible
from harness.lab_home import PROJECT

OUT = PROJECT / "reports" / "bench"
PHONE_CHUNK, LARGEST_CHUNK = 100, 1_000  # what the lab's phones send; what the API takes at most
CHECK_TIMEOUT_S = 900.0
SCRIPTS = PROJECT / "tests" / "bench"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int
    samples_per_round: int
    memory_samples: int
    existing: tuple[int, ...]
    accept: Load


FULL = Size(9, 4_000, 1_000_000, (25_000, 250_000, 1_000_000, 10_000_000), Load(4, 150, 7, PHONE_CHUNK))
QUICK = Size(3, 1_000, 20_000, (25_000, 100_000), Load(4, 15, 2, PHONE_CHUNK))


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--driver", default="auto")
    asked = parser.parse_args()
    size = QUICK if asked.quick else FULL
    begun = time.monotonic()
    with (
        interruptible(),
        tempfile.TemporaryDirectory(prefix="chaoslab-bench-") as scratch,
        bench_stores(asked.driver, directory=Path(scratch)) as stores,
    ):
        found = measure(size, stores, Path(scratch))
    result = {
        **found,
        "driver": stores.driver,
        "at": utc_now().isoformat(timespec="seconds"),
        "took_s": round(time.monotonic() - begun),
        "is_full": size is FULL,
        "existing_records": size.existing[-1],
        "machine": {"cpus": os.cpu_count(), "load_1m": os.getloadavg()[0], "python": sys.version.split()[0]},
    }
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "latest.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw(result, OUT)
    for key, value in found.items():
        if isinstance(value, int | float):
            print(f"  {key:28} {value:10.3f}  {verdict_of(key, value) if size is FULL else 'rehearsal'}")
    print(f"written: {OUT / 'latest.json'}")


def measure(size: Size, stores: BenchStores, scratch: Path) -> dict[str, Any]:
    """Every figure with the rounds behind it."""
    with redis.Redis.from_url(stores.redis_url) as client:
        client.config_set("appendfsync", "everysec")  # as production runs it; the lab's scenarios need `always`
    env = {**app_env(dsn=stores.app_dsn, redis_url=stores.redis_url), "RATE_LIMIT_PER_MINUTE": "1000000"}
    _say("making the tables")
    migrate(env)
    found = {**_imports(env, size), **_accept(env, size, scratch), **_memory(env, size)}
    return {**found, **_growth(env, size, stores.dsn, scratch)}


def _imports(env: Mapping[str, str], size: Size) -> dict[str, Any]:
    paths = {}
    for chunk in (PHONE_CHUNK, LARGEST_CHUNK):
        _say(f"import paths, {chunk} samples a chunk")
        samples = max(size.samples_per_round, 4 * chunk)
        paths[chunk] = _script(
            env, "import_paths.py", "--rounds", size.rounds, "--chunk-size", chunk, "--samples", samples
        )
    rounds = paths[PHONE_CHUNK]["rounds"]
    profile = {
        str(chunk): _script(env, "chunk_profile.py", "--chunk-size", chunk, "--chunks", 6_000 // chunk)["steps_ms"]
        for chunk in (PHONE_CHUNK, LARGEST_CHUNK)
    }
    return {
        "import_vs_update_or_create": ratio_of_rounds(rounds, "app", "loop"),
        "import_vs_copy": ratio_of_rounds(rounds, "app", "copy"),
        "round_trips_per_chunk": _script(env, "round_trips.py"),
        "import": {
            "chunk_size": PHONE_CHUNK,
            "samples_per_s": {name: median(each[name] for each in rounds) for name in rounds[0]},
            "by_chunk_size": {
                str(chunk): {
                    "vs_update_or_create": ratio_of_rounds(each["rounds"], "app", "loop"),
                    "vs_update_or_create_in_one_transaction": ratio_of_rounds(each["rounds"], "app", "loop_atomic"),
                    "vs_copy": ratio_of_rounds(each["rounds"], "app", "copy"),
                    "rounds": each["rounds"],
                }
                for chunk, each in paths.items()
            },
            "profile_ms": profile,
        },
    }


def _accept(env: Mapping[str, str], size: Size, scratch: Path) -> dict[str, Any]:
    _say("accepting beside a plain view")
    _script(env, "setup_tables.py", has_answer=False)
    rounds = {
        chunk: measure_accept(env, replace(size.accept, chunk=chunk), directory=scratch)
        for chunk in (PHONE_CHUNK, LARGEST_CHUNK)
    }
    return {
        "accept_p95_vs_plain": ratio_of_rounds(rounds[PHONE_CHUNK], "app", "plain"),
        "accept": {
            "clients": size.accept.clients,
            "p95_s": {name: median(each[name] for each in rounds[PHONE_CHUNK]) for name in ("app", "plain")},
            "by_chunk_size": {
                str(chunk): {"p95_vs_plain": ratio_of_rounds(each, "app", "plain"), "rounds": each}
                for chunk, each in rounds.items()
            },
        },
    }


def _memory(env: Mapping[str, str], size: Size) -> dict[str, Any]:
    _say(f"memory over {size.memory_samples} samples")
    memory = _script(
        env, "cost.py", "memory", "--chunk-size", LARGEST_CHUNK, "--samples", size.memory_samples, timeout_s=1_200.0
    )
    return {"worker_rss_growth_mib": memory["after_mib"] - memory["before_mib"], "memory": memory}


def _growth(env: Mapping[str, str], size: Size, dsn: str, scratch: Path) -> dict[str, Any]:
    """Cost of a sample with ever more records there already, then the check of the ledger that belongs to them."""
    costs: list[tuple[int, list[float]]] = []
    users = 0
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("TRUNCATE accounts_user CASCADE")
        for existing in size.existing:
            world = World(existing)
            _say(f"filling up to {existing} records")
            fill_postgres(session, world, since_user=users)
            users = world.users
            # Ids of the users, devices and sources that the app now adds lie above all that the world will have.
            for table in ("accounts_user", "accounts_device", "healthkit_data_source"):
                session.execute(f"ALTER TABLE {table} ALTER id RESTART WITH 1000000")  # the lab's own constants
            session.execute("ALTER TABLE healthkit_import_chunk ALTER id RESTART WITH 10000000")
            session.execute("CHECKPOINT")
            costs.append((existing, _script(env, "cost.py", "cost", "--rounds", size.rounds)))
    _say("writing the ledger")
    write_ledger(World(size.existing[-1]), scratch / "ledger")
    _say("checking it")
    check = _check(scratch / "ledger", dsn)
    medians = [(records, median(rounds)) for records, rounds in costs]
    return {
        "cost_slope": slope_per_decade(medians),
        "check_10m_s": check["took_s"],
        "check_10m_peak_mib": check["peak_mib"],
        "cost": [{"records": records, "s_per_sample": rounds} for records, rounds in costs],
        "check": check,
    }


def _check(ledger: Path, dsn: str) -> dict[str, Any]:
    """In a process of its own. Raises: DriverError when it failed or found anything."""
    done = subprocess.run(
        [sys.executable, "-m", "harness.bench.ledger_check", str(ledger), dsn],
        capture_output=True,
        text=True,
        timeout=CHECK_TIMEOUT_S,
        cwd=PROJECT,
        check=False,
    )
    if done.returncode != 0:
        raise DriverError(f"the ledger check exited {done.returncode}:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    if found["anomalies"] or found["doubts"]:
        raise DriverError(f"the bench's world is not sound: {found['anomalies'][:3]} {found['doubts'][:1]}")
    return found


def _script(
    env: Mapping[str, str], name: str, *arguments: object, timeout_s: float = 600.0, has_answer: bool = True
) -> Any:
    """Run one of the app-side scripts; the JSON of its last line."""
    printed = run_app(
        [str(SCRIPTS / name), *(str(each) for each in arguments)], env=env, cwd=PROJECT, timeout_s=timeout_s
    )
    return json.loads(printed.splitlines()[-1]) if has_answer else None


def _say(what: str) -> None:
    print(f"bench: {what} …", flush=True)


if __name__ == "__main__":
    main()
