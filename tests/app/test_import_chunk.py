"""One chunk, from claim to commit."""

import pytest

from healthkit.importing.chunk import Outcome, chunk_run
from tests.app.imports import batch, batch_state, chunk_state, count, phone, sample

pytestmark = pytest.mark.usefixtures("stores")


def test_chunk_is_imported_once() -> None:
    batch_id = batch(phone(), [[sample(minute) for minute in range(10)]])
    first = chunk_run(batch_id=batch_id, chunk_index=0, holder="a")
    second = chunk_run(batch_id=batch_id, chunk_index=0, holder="b")
    assert (first, second) == (Outcome.DONE, Outcome.REFUSED)
    state = chunk_state(batch_id)
    assert (state["status"], state["imported_count"], state["executions"]) == ("DONE", 10, 1)
    assert count("data_record") == 10
    assert count("record_fingerprint") == 10
    ended = batch_state(batch_id)
    assert (ended["status"], ended["done_count"], ended["failed_count"]) == ("COMPLETED", 1, 0)
