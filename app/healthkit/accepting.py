"""Accepting uploads: cheap, idempotent, and committed before it is acknowledged.

Each accept is one SQL statement in autocommit: one round trip, atomic, durable when it answers. The samples are parsed
once, only to know that they are a JSON array within limits; what is in them is the import's concern.
"""

import hashlib
import logging
import uuid
from dataclasses import dataclass
from typing import LiteralString

from backend.env import config
from backend.errors import ApiError, Code
from backend.limits import MAX_ANCHOR_BYTES, MAX_CHUNKS_PER_BATCH, require_between, require_bytes, require_text
from backend.logs import log_event
from backend.publish import publish
from healthkit.database import fetch_all, fetch_one
from healthkit.dispatching import BATCH_TASK
from healthkit.raw_samples import UnreadableSamples, samples_parse

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StartedImport:
    """A batch as its phone sees it; `uploaded_indexes` says where a resumed upload goes on, ascending."""

    batch_id: uuid.UUID
    status: str
    uploaded_indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReceivedChunk:
    """An acknowledged chunk: its raw samples are committed."""

    batch_id: uuid.UUID
    index: int
    received_count: int
    batch_status: str


_START: LiteralString = """
INSERT INTO healthkit_import_batch
    (id, user_id, device_id, idempotency_key, type_identifier, starting_anchor, new_anchor, chunk_count)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (device_id, idempotency_key) DO NOTHING
RETURNING id
"""

_FIND_BATCH: LiteralString = """
SELECT b.id, b.status, b.type_identifier, b.starting_anchor, b.new_anchor, b.chunk_count,
       ARRAY(SELECT c.chunk_index FROM healthkit_import_chunk c WHERE c.batch_id = b.id ORDER BY c.chunk_index)
FROM healthkit_import_batch b WHERE b.device_id = $1 AND b.idempotency_key = $2
"""

# The batch's row is locked first, so that counting, finishing the upload and abandoning it exclude one another. A chunk
# that is there already makes the insert, and with it the count, a no-op.
_UPLOAD: LiteralString = """
WITH batch AS (
    SELECT id, status, chunk_count FROM healthkit_import_batch WHERE id = $1 AND device_id = $2 FOR UPDATE
), chunk AS (
    INSERT INTO healthkit_import_chunk (batch_id, chunk_index, digest, samples, sample_count)
    SELECT id, $3::int, $4::text, $5::text, $6::int FROM batch WHERE status = 'PENDING' AND $3::int < chunk_count
    ON CONFLICT (batch_id, chunk_index) DO NOTHING
    RETURNING batch_id
), counted AS (
    UPDATE healthkit_import_batch b
    SET uploaded_count = b.uploaded_count + 1, moved_at = clock_timestamp(),
        status = CASE WHEN b.uploaded_count + 1 = b.chunk_count THEN 'PROCESSING' ELSE b.status END,
        dispatch_count = CASE WHEN b.uploaded_count + 1 = b.chunk_count THEN 1 ELSE 0 END,
        dispatched_at = CASE WHEN b.uploaded_count + 1 = b.chunk_count THEN clock_timestamp() END,
        next_dispatch_at = CASE WHEN b.uploaded_count + 1 = b.chunk_count
                                THEN clock_timestamp() + $7::float8 * interval '1 second' END
    FROM chunk WHERE b.id = chunk.batch_id
    RETURNING b.status
)
SELECT batch.chunk_count, batch.status, counted.status FROM batch LEFT JOIN counted ON true
"""

_FIND_CHUNK: LiteralString = """
SELECT c.digest, c.sample_count, b.status
FROM healthkit_import_chunk c JOIN healthkit_import_batch b ON b.id = c.batch_id
WHERE c.batch_id = $1 AND c.chunk_index = $2
"""


def import_start(
    *,
    user_id: int,
    device_id: int,
    idempotency_key: str,
    type_identifier: str,
    starting_anchor: str | None,
    new_anchor: str | None,
    chunk_count: int,
) -> StartedImport:
    """Open a batch, or find the one that this key opened before.

    Raises: `ApiError` BAD_REQUEST; CONFLICT when the key was used for another content.
    """
    require_text(idempotency_key, name="idempotencyKey")
    require_text(type_identifier, name="type")
    for name, anchor in (("startingAnchor", starting_anchor), ("newAnchor", new_anchor)):
        if anchor is not None:
            require_text(anchor, name=name, max_length=MAX_ANCHOR_BYTES)
            require_bytes(anchor, name=name, limit=MAX_ANCHOR_BYTES)
    require_between(chunk_count, name="chunkCount", low=1, high=MAX_CHUNKS_PER_BATCH)
    content = (type_identifier, starting_anchor, new_anchor, chunk_count)
    created = fetch_one(_START, uuid.uuid4(), user_id, device_id, idempotency_key, *content)
    if created is not None:
        return StartedImport(batch_id=created[0], status="PENDING", uploaded_indexes=())
    [(batch_id, status, *known, indexes)] = fetch_all(_FIND_BATCH, device_id, idempotency_key)
    if tuple(known) != content:
        raise ApiError(Code.CONFLICT, "idempotencyKey was used for another import")
    return StartedImport(batch_id=batch_id, status=status, uploaded_indexes=tuple(indexes))


def chunk_upload(*, device_id: int, batch_id: uuid.UUID, index: int, digest: str, samples: str) -> ReceivedChunk:
    """Keep the raw samples of one chunk; the last one to arrive starts the import.

    Idempotent by index and digest. Raises: `ApiError` BAD_REQUEST, TOO_LARGE; NOT_FOUND when the batch is not this
    device's; CONFLICT when the index holds another content or the upload was given up.
    """
    sample_count = _checked_count(samples, digest)
    require_between(index, name="index", low=0, high=MAX_CHUNKS_PER_BATCH)
    row = fetch_one(
        _UPLOAD, batch_id, device_id, index, digest.lower(), samples, sample_count, config().sweep_interval_s
    )
    if row is None:
        raise ApiError(Code.NOT_FOUND, "no such import")
    chunk_count, status, counted_status = row
    if counted_status is None:
        return _already_there(batch_id, index, digest=digest.lower(), chunk_count=chunk_count, status=status)
    log_event(logger, "chunk_accepted", f"{sample_count} samples kept", batch=str(batch_id), chunk=index)
    if counted_status != "PENDING":
        _dispatch(batch_id)
    return ReceivedChunk(batch_id=batch_id, index=index, received_count=sample_count, batch_status=counted_status)


def _checked_count(samples: str, digest: str) -> int:
    """Number of samples in the text. Raises: `ApiError`."""
    if hashlib.sha256(samples.encode()).hexdigest() != digest.lower():
        raise ApiError(Code.BAD_REQUEST, "digest: expected the SHA-256 of samples' UTF-8 in hexadecimal")
    if "\0" in samples:
        raise ApiError(Code.BAD_REQUEST, "samples: a NUL character is not JSON")
    try:
        parsed = samples_parse(samples)
    except UnreadableSamples as error:
        raise ApiError(Code.BAD_REQUEST, f"samples: {error}") from None
    limit = config().max_samples_per_chunk
    if len(parsed) > limit:
        raise ApiError(Code.TOO_LARGE, f"samples: a chunk has at most {limit}")
    return len(parsed)


def _already_there(batch_id: uuid.UUID, index: int, *, digest: str, chunk_count: int, status: str) -> ReceivedChunk:
    """The answer where nothing was inserted: the index is there, does not exist, or came too late."""
    if index >= chunk_count:
        raise ApiError(Code.BAD_REQUEST, f"index: expected 0 to {chunk_count - 1}")
    # A statement of its own, to see a twin that was committed while the insert waited for it.
    row = fetch_one(_FIND_CHUNK, batch_id, index)
    if row is None:
        raise ApiError(Code.CONFLICT, f"the import is {status} and takes no more chunks")
    known_digest, sample_count, batch_status = row
    if known_digest != digest:
        raise ApiError(Code.CONFLICT, f"chunk {index} was uploaded with another content")
    return ReceivedChunk(batch_id=batch_id, index=index, received_count=sample_count, batch_status=batch_status)


def _dispatch(batch_id: uuid.UUID) -> None:
    """Start the import. When the message gets lost, the sweeper finds the batch that is not moving."""
    batch = str(batch_id)
    if publish(BATCH_TASK, (batch,), ids={"batch": batch}):
        log_event(logger, "batch_dispatched", f"batch {batch} is complete and was dispatched", batch=batch)
