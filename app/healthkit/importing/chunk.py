"""One delivery of a chunk, from claim to publish of the next."""

import logging
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, LiteralString
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded

from backend.clock import sleep_s
from backend.logs import log_event
from healthkit.counters import CLAIMS_LOST, CLAIMS_REFUSED, counter_add
from healthkit.database import (
    INFRASTRUCTURE_ERRORS,
    TOO_MUCH_ERRORS,
    drop_connection,
    fetch_all,
    raw_connection,
    raw_cursor,
)
from healthkit.dispatching import chunk_publish, chunks_dispatch
from healthkit.finalising import batch_report
from healthkit.importing.attempts import Ended, Ending, claim_end, ended_report, error_text
from healthkit.importing.claim import Claim, Refusal, chunk_claim
from healthkit.importing.context import ImportContext
from healthkit.importing.dead_claims import dead_claims_reap
from healthkit.importing.transaction import ClaimLost, Imported, chunk_import
from healthkit.raw_samples import samples_parse
from healthkit.validating import Classified, samples_classify

_LOGGER = logging.getLogger(__name__)
# Waits between tries to release a claim while Postgres is away; then the claim is left to its timeout.
_RELEASE_WAITS_S = (0.5, 1.0, 2.0)

_KNOWN_TYPES: LiteralString = "SELECT identifier FROM healthkit_sample_type WHERE identifier = ANY($1)"


class Outcome(StrEnum):
    """What a delivery came to."""

    DONE = "done"
    REFUSED = "refused"
    LOST = "lost"
    RETRIED = "retried"
    RELEASED = "released"
    FAILED = "failed"


def chunk_run(*, batch_id: UUID, chunk_index: int, holder: str) -> Outcome:
    """Import one chunk if it can be claimed, then publish the next one; a refused delivery is a counted no-op.

    Raises: `INFRASTRUCTURE_ERRORS` when nothing could be claimed; what told the process to stop, after releasing.
    """
    claim = _claim(batch_id, chunk_index, holder)
    if isinstance(claim, Refusal):
        return chunk_refuse(batch_id=batch_id, chunk_index=chunk_index, reason=claim.reason)
    try:
        _log("chunk_started", f"execution {claim.executions}", claim)
        imported = _import(claim)
    except ClaimLost as lost:
        counter_add(CLAIMS_LOST)
        _log("claim_lost", f"claim lost {lost}; rolled back", claim, level=logging.WARNING)
        return Outcome.LOST
    except SoftTimeLimitExceeded:
        drop_connection()
        return _end(claim, Ending.INTERRUPTION, "soft time limit exceeded")
    except TOO_MUCH_ERRORS as error:
        return _end(claim, Ending.DATA, error_text(error))
    except INFRASTRUCTURE_ERRORS as error:
        _log("database_unavailable", "import interrupted", claim, level=logging.WARNING, error=error_text(error))
        return _end(claim, Ending.INFRASTRUCTURE, error_text(error))
    except Exception as error:  # noqa: BLE001 - whatever the data cause is counted as theirs, and kept with the chunk
        return _end(claim, Ending.DATA, error_text(error))
    except BaseException as stop:
        # SystemExit of a cold shutdown, possibly in the middle of a statement: the message goes back to the queue,
        # and whoever gets it must find the claim free.
        drop_connection()
        _release(claim, Ending.STOP, f"told to stop: {type(stop).__name__}", waits_s=())
        raise
    _finished(claim, imported)
    return Outcome.DONE


def chunk_refuse(*, batch_id: UUID, chunk_index: int, reason: str) -> Outcome:
    """Count a delivery that found nothing to do."""
    counter_add(CLAIMS_REFUSED)
    message = f"delivery is a no-op: {reason}"
    log_event(_LOGGER, "claim_refused", message, batch=str(batch_id), chunk=chunk_index, reason=reason)
    return Outcome.REFUSED


def samples_validate(context: ImportContext, samples: Sequence[tuple[int, Any]]) -> Classified:
    """Classify raw samples, pairs of index and value; other types that they name are looked up, if there are any."""
    named = [raw.get("type") for _, raw in samples if isinstance(raw, dict)]
    others = {name for name in named if isinstance(name, str) and name != context.type_identifier}
    lookup = [name for name in others if name.isascii() and name.isprintable()]
    return samples_classify(
        samples,
        type_identifier=context.type_identifier,
        rule=context.rule,
        known_types={row[0] for row in fetch_all(_KNOWN_TYPES, lookup)} if lookup else set(),
        now=context.now,
    )


def _claim(batch_id: UUID, chunk_index: int, holder: str) -> Claim | Refusal:
    claim = _claim_on_live_connection(batch_id, chunk_index, holder)
    if isinstance(claim, Refusal) and claim.reason in ("claimed", "busy") and dead_claims_reap(batch_id=batch_id):
        claim = chunk_claim(batch_id=batch_id, chunk_index=chunk_index, holder=holder)
    return claim


def _claim_on_live_connection(batch_id: UUID, chunk_index: int, holder: str) -> Claim | Refusal:
    """A connection that was kept may have died since; finding out costs one try, not the chunk."""
    try:
        return chunk_claim(batch_id=batch_id, chunk_index=chunk_index, holder=holder)
    except INFRASTRUCTURE_ERRORS:
        drop_connection()
        return chunk_claim(batch_id=batch_id, chunk_index=chunk_index, holder=holder)


def _import(claim: Claim) -> Imported:
    samples = samples_parse(claim.samples)
    classified = samples_validate(claim.context, list(enumerate(samples)))
    return chunk_import(raw_connection(), claim, classified, samples)


def _finished(claim: Claim, imported: Imported) -> None:
    _log(
        "chunk_finished",
        "committed",
        claim,
        imported=imported.imported_count,
        duplicates=imported.duplicate_count,
        rejected=imported.rejected_count,
    )
    if imported.ended_as is not None:
        batch_report(batch_id=claim.batch_id, status=imported.ended_as)
    if imported.next_index is not None:
        chunk_publish(batch_id=claim.batch_id, chunk_index=imported.next_index)


def _end(claim: Claim, ending: Ending, error: str) -> Outcome:
    ended = _release(claim, ending, error, waits_s=_RELEASE_WAITS_S)
    if ended is None:
        return Outcome.LOST
    if ended.batch_ended_as is not None:
        batch_report(batch_id=ended.batch_id, status=ended.batch_ended_as)
    else:
        chunks_dispatch(ended.batch_id)
    if ended.has_failed:
        return Outcome.FAILED
    return Outcome.RETRIED if ending is Ending.DATA else Outcome.RELEASED


def _release(claim: Claim, ending: Ending, error: str, *, waits_s: tuple[float, ...]) -> Ended | None:
    """Give the claim back; None when it is not ours any more, or Postgres stayed away (then it runs out)."""
    for wait_s in (*waits_s, None):
        try:
            raw = raw_connection()
            with raw.transaction():
                ended = claim_end(
                    raw_cursor(raw), chunk_id=claim.context.chunk_id, token=claim.token, ending=ending, error=error
                )
        except INFRASTRUCTURE_ERRORS as away:
            drop_connection()
            _log("database_unavailable", "claim not released", claim, level=logging.WARNING, error=error_text(away))
            if wait_s is None:
                return None
            sleep_s(wait_s)
            continue
        if ended is not None:
            ended_report(ended, ending=ending, error=error)
        return ended
    return None


def _log(
    event: str, message: str, claim: Claim, *, level: int = logging.INFO, error: str | None = None, **counts: int
) -> None:
    ids: dict[str, Any] = {"batch": str(claim.batch_id), "chunk": claim.chunk_index, **counts}
    log_event(_LOGGER, event, message, level=level, chunk_id=claim.context.chunk_id, error=error, **ids)
