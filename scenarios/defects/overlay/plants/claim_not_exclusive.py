"""Claiming looks at a chunk's state alone: neither that another holds it nor that its slot is taken matters."""

from __future__ import annotations

from typing import Any

CLAIM = """
UPDATE healthkit_import_chunk c
SET claim_token = $3, claim_slot = $6::int - 1, claimed_at = clock_timestamp(),
    claim_expires_at = clock_timestamp() + $4 * interval '1 second', claimed_by = $5,
    executions = c.executions + 1, next_attempt_at = NULL, next_dispatch_at = NULL, dispatch_count = 0
FROM healthkit_import_batch b
JOIN accounts_user u ON u.id = b.user_id
LEFT JOIN healthkit_sample_type t ON t.identifier = b.type_identifier
WHERE b.id = $1 AND b.status IN ('PROCESSING', 'ABANDONED')
  AND c.batch_id = b.id AND c.chunk_index = $2 AND c.status = 'PENDING'
  AND (c.next_attempt_at IS NULL OR c.next_attempt_at <= clock_timestamp())
RETURNING c.samples, c.executions,
"""


def _claim_what_is_claimed(claim: Any) -> None:
    claim._CLAIM = CLAIM + claim.CONTEXT_COLUMNS


PATCHES = {"healthkit.importing.claim": _claim_what_is_claimed}
