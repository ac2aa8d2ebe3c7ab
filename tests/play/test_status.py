"""What `lab status` says of messages, chunks and phones."""

from __future__ import annotations

from typing import Any

import pytest

from harness.commands.status import work_lines

PHONES: dict[str, Any] = {"phones": 2, "is_sending": True, "attempted": 1200, "acknowledged": 1100}
REDIS: dict[str, Any] = {"queues": {"default": 3, "high": 0}, "unacked": 5}
POSTGRES: dict[str, Any] = {
    "chunks": {"PENDING": 4, "DONE": 1000},
    "batches": {},
    "running": [{"worker": "worker-1", "chunk": 3, "batch": "b", "for_s": 0.4}],
    "records": 1000,
    "dead_letters": 0,
}


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (
            {**PHONES, **REDIS, **POSTGRES},
            [
                "queued: default 3, high 0 · handed to workers, not confirmed: 5",
                "active chunks: 1 · not confirmed beyond them (reserved, or other tasks): 4",
                "  worker-1: chunk 3 of batch b, for 0.4 s",
                "chunks: DONE 1,000, PENDING 4",
                "batches: none",
                "phones: 2 (sending or waiting) · samples attempted 1,200, acknowledged 1,100 · records 1,000 · "
                "dead letters 0",
            ],
        ),
        (
            {**PHONES, **POSTGRES},
            [
                "queued: unknown · handed to workers, not confirmed: unknown",
                "active chunks: 1 · not confirmed beyond them (reserved, or other tasks): unknown",
                "  worker-1: chunk 3 of batch b, for 0.4 s",
                "chunks: DONE 1,000, PENDING 4",
                "batches: none",
                "phones: 2 (sending or waiting) · samples attempted 1,200, acknowledged 1,100 · records 1,000 · "
                "dead letters 0",
            ],
        ),
        (
            {**PHONES, **REDIS},
            [
                "queued: default 3, high 0 · handed to workers, not confirmed: 5",
                "active chunks: unknown · not confirmed beyond them (reserved, or other tasks): unknown",
                "chunks: unknown",
                "batches: unknown",
                "phones: 2 (sending or waiting) · samples attempted 1,200, acknowledged 1,100 · records unknown · "
                "dead letters unknown",
            ],
        ),
    ],
    ids=["both stores answer", "Redis is away", "Postgres is away"],
)
def test_what_a_store_that_is_away_would_have_told_is_unknown(found: dict[str, Any], lines: list[str]) -> None:
    assert list(work_lines(found)) == lines
