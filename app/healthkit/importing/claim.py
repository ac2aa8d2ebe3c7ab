"""Claiming a chunk: counted and committed before the work, so that a poisoned chunk cannot loop unseen.

One UPDATE in a transaction of its own, which also brings back everything that the import needs. The number of claims
of a batch is a unique index over (batch, slot), so two deliveries at once cannot both succeed. The type's row is read
with every claim: a row added while workers run applies to the next chunk.
"""

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg

from backend.env import config
from healthkit.database import fetch_one
from healthkit.importing.context import CONTEXT_COLUMNS, ImportContext, context_from

_CLAIM: LiteralString = (
    """
UPDATE healthkit_import_chunk c
SET claim_token = $3, claim_slot = slot.free, claimed_at = clock_timestamp(),
    claim_expires_at = clock_timestamp() + $4 * interval '1 second', claimed_by = $5,
    executions = c.executions + 1, next_attempt_at = NULL, next_dispatch_at = NULL, dispatch_count = 0
FROM healthkit_import_batch b
JOIN accounts_user u ON u.id = b.user_id
LEFT JOIN healthkit_sample_type t ON t.identifier = b.type_identifier
CROSS JOIN LATERAL (
    SELECT min(s) AS free FROM generate_series(0, $6::int - 1) s
    WHERE NOT EXISTS (
        SELECT 1 FROM healthkit_import_chunk o
        WHERE o.batch_id = b.id AND o.claim_slot = s AND o.claim_token IS NOT NULL
    )
) slot
WHERE b.id = $1 AND b.status IN ('PROCESSING', 'ABANDONED')
  AND c.batch_id = b.id AND c.chunk_index = $2 AND c.status = 'PENDING' AND c.claim_token IS NULL
  AND (c.next_attempt_at IS NULL OR c.next_attempt_at <= clock_timestamp()) AND slot.free IS NOT NULL
RETURNING c.samples, c.executions,
"""
    + CONTEXT_COLUMNS
)

_STATE: LiteralString = """
SELECT c.status, c.claim_token IS NOT NULL, c.next_attempt_at > clock_timestamp(), b.status
FROM healthkit_import_chunk c JOIN healthkit_import_batch b ON b.id = c.batch_id
WHERE c.batch_id = $1 AND c.chunk_index = $2
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk that is ours until its claim expires, with its raw samples and what their import needs."""

    token: UUID
    batch_id: UUID
    chunk_index: int
    samples: str
    executions: int
    context: ImportContext


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a delivery got no claim: done, failed, claimed, waiting, busy, unknown or not_ready."""

    reason: str


def chunk_claim(*, batch_id: UUID, chunk_index: int, holder: str) -> Claim | Refusal:
    """Claim a chunk for `holder`, or say why not; a refusal changes nothing.

    Raises: `INFRASTRUCTURE_ERRORS`.
    """
    settings = config()
    token = uuid4()
    for _ in range(settings.chunk_fanout):
        try:
            row = fetch_one(
                _CLAIM, batch_id, chunk_index, token, settings.claim_timeout_s, holder, settings.chunk_fanout
            )
        except psycopg.errors.UniqueViolation:
            continue  # another delivery took this slot at this very moment: the next one, if there is one
        if row is None:
            return _refusal(batch_id, chunk_index)
        samples, executions, *context = row
        return Claim(token, batch_id, chunk_index, samples, executions, context_from(tuple(context)))
    return Refusal("busy")


def _refusal(batch_id: UUID, chunk_index: int) -> Refusal:
    row = fetch_one(_STATE, batch_id, chunk_index)
    match row:
        case None:
            return Refusal("unknown")
        case (("DONE" | "FAILED") as status, _, _, _):
            return Refusal(str(status).lower())
        case (_, True, _, _):
            return Refusal("claimed")
        case (_, _, True, _):
            return Refusal("waiting")
        case (_, _, _, "PENDING"):
            return Refusal("not_ready")
        case _:
            return Refusal("busy")
