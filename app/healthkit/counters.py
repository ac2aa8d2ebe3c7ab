"""Counts that outlive the process that counted, for /metrics."""

from typing import LiteralString

from healthkit.database import execute, fetch_all

CLAIMS_LOST = "claims_lost"
CLAIMS_REFUSED = "claims_refused"

_ADD: LiteralString = """
INSERT INTO healthkit_counter (name, value) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET value = healthkit_counter.value + excluded.value
"""


def counter_add(name: str, amount: int = 1) -> None:
    """Add to the count `name`, in a transaction of its own."""
    execute(_ADD, name, amount)


def counters_read() -> dict[str, int]:
    """All counts; one that never counted is absent."""
    return dict(fetch_all("SELECT name, value FROM healthkit_counter"))
