"""A phone that was cut off in mid-upload and asks where it stands: it sends again what it is not told to be there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.devices.phone import OpenBatch, Phone, start_call


def resume(phone: Phone, batch: OpenBatch, *, attempted: frozenset[int]) -> None:
    """Start the same import again: what was acknowledged must be named as uploaded, and nothing that was never sent.

    A phone skips the chunks that are named, so one too many is a chunk that nobody will ever send.
    """

    def check(data: Mapping[str, Any]) -> list[str]:
        told = set(data["startImport"]["uploadedIndexes"])
        problems = []
        if data["startImport"]["batchId"] != batch.batch_id:
            problems.append(f"one idempotency key, batches {batch.batch_id} and {data['startImport']['batchId']}")
        if told - attempted:
            problems.append(f"chunks {sorted(told - attempted)[:5]} are said to be uploaded and were never sent")
        if batch.acknowledged - told:
            problems.append(f"chunks {sorted(batch.acknowledged - told)[:5]} were acknowledged and are not named")
        return problems

    phone.caller.make(
        start_call(batch.plan, check=check), facts_of=lambda data: {"batch": data["startImport"]["batchId"]}
    )
