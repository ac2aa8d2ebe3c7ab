"""The Celery tasks of imports: fetch, call a service, map errors. Progress lives in Postgres, not in results.

A task that meets a database that is away says so and ends: its message is acked, because a row is found by the sweeper
and a tick by beat, and a message that is put back at once would only spin.
"""

import logging
import os
from collections.abc import Callable
from uuid import UUID

from celery import shared_task

from backend.env import config
from backend.logs import log_event
from backend.service import current_replica
from healthkit.database import INFRASTRUCTURE_ERRORS, drop_connection
from healthkit.dispatching import BATCH_TASK, CHUNK_TASK, chunks_dispatch
from healthkit.importing.attempts import error_text
from healthkit.importing.chunk import chunk_refuse, chunk_run
from healthkit.importing.duplicate_lock import duplicate_lock
from healthkit.retention import records_clean_up
from healthkit.sweeping import imports_sweep
from scheduling.tick_task import NOT_DONE

SWEEP_TASK = "healthkit.sweep"
CLEAN_UP_TASK = "healthkit.clean_up"

_LOGGER = logging.getLogger(__name__)


@shared_task(name=BATCH_TASK)  # type: ignore[untyped-decorator]  # Celery has no types
def import_batch(batch_id: str) -> str:
    """Dispatch a batch's first chunks, as many as CHUNK_FANOUT allows."""

    def dispatch() -> str:
        published = chunks_dispatch(UUID(batch_id))
        log_event(_LOGGER, "batch_dispatched", f"{published} chunks published", batch=batch_id)
        return f"{published} published"

    return _with_database(dispatch, batch=batch_id)


@shared_task(  # type: ignore[untyped-decorator]  # Celery has no types
    name=CHUNK_TASK, soft_time_limit=config().chunk_soft_limit_s, time_limit=config().chunk_hard_limit_s
)
def import_chunk(batch_id: str, chunk_index: int) -> str:
    """Import one chunk, or find that there is nothing to do."""

    def run() -> str:
        holder = f"{current_replica()}:{os.getpid()}"
        batch = UUID(batch_id)
        with duplicate_lock(batch_id=batch, chunk_index=chunk_index) as is_free:
            if not is_free:
                return chunk_refuse(batch_id=batch, chunk_index=chunk_index, reason="duplicate").value
            return chunk_run(batch_id=batch, chunk_index=chunk_index, holder=holder).value

    return _with_database(run, batch=batch_id, chunk=chunk_index)


@shared_task(name=SWEEP_TASK)  # type: ignore[untyped-decorator]  # Celery has no types
def sweep() -> str:
    """Sweep once; beat's share of what each worker also does by itself."""
    return _with_database(lambda: str(imports_sweep()))


@shared_task(name=CLEAN_UP_TASK)  # type: ignore[untyped-decorator]  # Celery has no types
def clean_up() -> str:
    """Remove records and raw chunks that are past their retention, if that is turned on."""

    def run() -> str:
        done = records_clean_up()
        return str(done) if done.is_complete else NOT_DONE

    return _with_database(run)


def _with_database(call: Callable[[], str], *, batch: str | None = None, chunk: int | None = None) -> str:
    try:
        return call()
    except INFRASTRUCTURE_ERRORS as error:
        drop_connection()
        log_event(
            _LOGGER,
            "database_unavailable",
            "not done; left to the sweeper, or to the tick's next message",
            level=logging.ERROR,
            error=error_text(error),
            batch=batch,
            chunk=chunk,
        )
        return NOT_DONE
