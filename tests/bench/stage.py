"""Users, batches and chunks for the benchmarks: heart rate every five minutes, as a watch records it.

Import it first: it sets Django up from the environment that the process was given.
"""

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import django

django.setup()

from healthkit.database import execute, fetch_one  # noqa: E402 - Django must be set up before its models load

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
UNIT = "count/min"
SOURCE = {"id": "com.apple.health.watch", "name": "Watch", "kind": "watch"}
FIRST = datetime(2025, 10, 1, tzinfo=UTC)
EVERY = timedelta(minutes=5)
BAD_EVERY = 200  # of the app's samples; the rows of the other paths are the good ones


@dataclass(frozen=True, slots=True)
class Upload:
    """An accepted batch of one new user: its chunks' samples, as they were sent."""

    user_id: int
    batch_id: uuid.UUID
    chunks: tuple[tuple[dict[str, Any], ...], ...]

    @property
    def good(self) -> tuple[tuple[dict[str, Any], ...], ...]:
        """The samples that become records, by chunk."""
        return tuple(tuple(each for each in chunk if each["value"] is not None) for chunk in self.chunks)


def samples(count: int) -> list[dict[str, Any]]:
    """`count` samples in a row, one in `BAD_EVERY` without a value."""
    return [
        {
            "uuid": str(uuid.uuid4()),
            "type": HEART_RATE,
            "start": f"{FIRST + number * EVERY:%Y-%m-%dT%H:%M:%S}.000Z",
            "end": f"{FIRST + number * EVERY:%Y-%m-%dT%H:%M:%S}.000Z",
            "value": None if number % BAD_EVERY == BAD_EVERY - 1 else 55 + number % 97 * 0.5,
            "unit": UNIT,
            "source": SOURCE,
        }
        for number in range(count)
    ]


def new_user() -> tuple[int, int]:
    """Ids of a new user and its device."""
    user = fetch_one(
        "INSERT INTO accounts_user (key_hash, time_zone, created_at) VALUES ($1, 'Europe/Berlin', now()) RETURNING id",
        uuid.uuid4().hex,
    )
    assert user is not None
    device = fetch_one(
        "INSERT INTO accounts_device (user_id, device_key, name, token_hash, created_at)"
        " VALUES ($1, $2, 'phone', $2, now()) RETURNING id",
        user[0],
        uuid.uuid4().hex,
    )
    assert device is not None
    return int(user[0]), int(device[0])


def upload(*, chunk_size: int, chunks: int) -> Upload:
    """A batch that has arrived whole and waits for a worker."""
    user_id, device_id = new_user()
    made = samples(chunk_size * chunks)
    cut = tuple(tuple(made[at : at + chunk_size]) for at in range(0, len(made), chunk_size))
    batch_id = uuid.uuid4()
    execute(
        "INSERT INTO healthkit_import_batch (id, user_id, device_id, idempotency_key, type_identifier, chunk_count,"
        " uploaded_count, status) VALUES ($1, $2, $3, $4, $5, $6, $6, 'PROCESSING')",
        batch_id,
        user_id,
        device_id,
        str(batch_id),
        HEART_RATE,
        len(cut),
    )
    for index, chunk in enumerate(cut):
        text = json.dumps(chunk, separators=(",", ":"))
        execute(
            "INSERT INTO healthkit_import_chunk (batch_id, chunk_index, digest, samples, sample_count)"
            " VALUES ($1, $2, $3, $4, $5)",
            batch_id,
            index,
            hashlib.sha256(text.encode()).hexdigest(),
            text,
            len(chunk),
        )
    return Upload(user_id, batch_id, cut)
