"""Where a chunk's time goes: milliseconds of each step of the app's task, the median over many chunks; one JSON line.

Steps are timed by wrapping the functions and statements that make them up, so their sum is a little more than a chunk
takes unwatched. `other` is what is left of the whole: logging, building parameters, Python between the steps.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any
from unittest.mock import patch

from tests.bench.stage import upload

# isort: split
from django.db import connection

from healthkit import tasks
from healthkit.importing import chunk, transaction
from healthkit.importing.duplicate_lock import duplicate_lock

# (step, module, function): each replaced where its caller looks it up; no step is part of another.
STEPS: tuple[tuple[str, Any, str], ...] = (
    ("claim", chunk, "chunk_claim"),
    ("parse", chunk, "samples_parse"),
    ("validate", chunk, "samples_validate"),
    ("begin and locks", transaction, "_begin"),
    ("insert", transaction, "samples_insert"),
    ("publish next", chunk, "chunk_publish"),
)


def main() -> None:
    """Warm up, run, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--chunk-size", type=int, default=100)
    parser.add_argument("--chunks", type=int, default=60)
    wanted = parser.parse_args()
    _run(wanted.chunk_size, 5)
    rounds = _run(wanted.chunk_size, wanted.chunks)
    steps = {name: 1e3 * median(each[name] for each in rounds) for name in rounds[-1]}
    print(json.dumps({"chunk_size": wanted.chunk_size, "steps_ms": steps}))


def _run(chunk_size: int, chunks: int) -> list[dict[str, float]]:
    batch = upload(chunk_size=chunk_size, chunks=chunks + 1)
    rounds: list[dict[str, float]] = []
    with _timed() as spent:
        for index in range(chunks):
            spent.clear()
            begun = time.perf_counter()
            tasks.import_chunk(str(batch.batch_id), index)
            whole = time.perf_counter() - begun
            steps = {name: spent[name] for name, _, _ in STEPS} | {"Redis lock": spent["Redis lock"]}
            rounds.append(steps | {"aggregates, guard, commit, other": whole - sum(steps.values()), "whole": whole})
    return rounds


@contextmanager
def _timed() -> Iterator[dict[str, float]]:
    spent: dict[str, float] = defaultdict(float)
    with ExitStack() as stack:
        for name, module, function in STEPS:
            stack.enter_context(patch.object(module, function, _timing(getattr(module, function), name, spent)))
        stack.enter_context(patch.object(tasks, "duplicate_lock", _timing_lock(duplicate_lock, spent)))
        yield spent


def _timing(call: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            spent[name] += time.perf_counter() - begun

    return timed


def _timing_lock(lock: Callable[..., Any], spent: dict[str, float]) -> Callable[..., Any]:
    @contextmanager
    def timed(**kwargs: Any) -> Iterator[bool]:
        begun = time.perf_counter()
        with lock(**kwargs) as is_free:
            spent["Redis lock"] += time.perf_counter() - begun
            yield is_free
            begun = time.perf_counter()
        spent["Redis lock"] += time.perf_counter() - begun

    return timed


if __name__ == "__main__":
    main()
    connection.close()
