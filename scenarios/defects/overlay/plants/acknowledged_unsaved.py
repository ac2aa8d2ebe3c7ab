"""The upload's database error is swallowed, and the phone is told that its samples are kept."""

from __future__ import annotations

import json
from typing import Any


def _acknowledge_anyway(accepting: Any) -> None:
    upload = accepting.chunk_upload

    def chunk_upload(*, device_id: int, batch_id: Any, index: int, digest: str, samples: str) -> Any:
        from healthkit.database import INFRASTRUCTURE_ERRORS

        try:
            return upload(device_id=device_id, batch_id=batch_id, index=index, digest=digest, samples=samples)
        except INFRASTRUCTURE_ERRORS:
            count = len(json.loads(samples))
            return accepting.ReceivedChunk(batch_id=batch_id, index=index, received_count=count, batch_status="PENDING")

    accepting.chunk_upload = chunk_upload


PATCHES = {"healthkit.accepting": _acknowledge_anyway}
