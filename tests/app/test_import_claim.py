"""Claims: one holder at a time, one chunk of a batch in flight, taken over when the holder is gone."""

import os
import uuid

import psycopg
import pytest

from healthkit.counters import counters_read
from healthkit.database import execute, fetch_all, fetch_one
from healthkit.importing.chunk import Outcome, chunk_run
from healthkit.importing.claim import Claim, Refusal, chunk_claim
from healthkit.importing.dead_claims import dead_claims_reap
from healthkit.models.status import ChunkStatus
from tests.app.imports import (
    age,
    batch,
    batch_state,
    chunk_state,
    count,
    in_another_session,
    parked,
    phone,
    sample,
    waiting_backend,
    with_settings,
)
from tests.app.waiting import wait_until

pytestmark = pytest.mark.usefixtures("stores")
CLAIM_SLOT_0 = (
    "UPDATE healthkit_import_chunk SET claim_token = gen_random_uuid(), claim_slot = 0, claimed_at = now(),"
    " claim_expires_at = now() + interval '1 minute'"
)
SWEEP, CLAIM_TIMEOUT = 1.0, 10.0  # in sweep intervals, as `age` has it


def claim(batch_id: uuid.UUID, index: int = 0) -> Claim:
    made = chunk_claim(batch_id=batch_id, chunk_index=index, holder="somebody")
    assert isinstance(made, Claim)
    return made


def test_claim_is_counted_and_visible_before_the_work() -> None:
    batch_id = batch(phone(), [[sample()]])
    made = claim(batch_id)
    state = chunk_state(batch_id)
    assert (state["executions"], state["claim_token"]) == (1, str(made.token))
    assert (state["status"], state["claimed_by"]) == (ChunkStatus.PENDING, "somebody")


def test_second_delivery_of_a_claimed_chunk_is_a_counted_no_op() -> None:
    batch_id = batch(phone(), [[sample()]])
    claim(batch_id)
    assert chunk_run(batch_id=batch_id, chunk_index=0, holder="second") is Outcome.REFUSED
    assert chunk_state(batch_id)["executions"] == 1
    assert counters_read()["claims_refused"] == 1


def test_sequential_mode_refuses_a_second_chunk_of_the_batch() -> None:
    batch_id = batch(phone(), [[sample(1)], [sample(2)]])
    claim(batch_id, 0)
    assert chunk_claim(batch_id=batch_id, chunk_index=1, holder="other") == Refusal("busy")


def test_fan_out_allows_as_many_claims_as_slots() -> None:
    batch_id = batch(phone(), [[sample(1)], [sample(2)], [sample(3)]])
    with with_settings(chunk_fanout=2):
        made = [chunk_claim(batch_id=batch_id, chunk_index=index, holder="x") for index in range(3)]
    assert [isinstance(each, Claim) for each in made] == [True, True, False]
    assert [chunk_state(batch_id, index)["claim_slot"] for index in range(3)] == [0, 1, None]


def test_fan_out_does_not_let_two_have_the_same_chunk() -> None:
    batch_id = batch(phone(), [[sample(1)], [sample(2)]])
    with with_settings(chunk_fanout=2):
        claim(batch_id, 0)
        assert chunk_claim(batch_id=batch_id, chunk_index=0, holder="other") == Refusal("claimed")


def test_a_slot_is_taken_once_whatever_the_claims_saw() -> None:
    batch_id = batch(phone(), [[sample(1)], [sample(2)]])
    claim(batch_id, 0)
    with pytest.raises(psycopg.errors.UniqueViolation, match="healthkit_import_chunk_slot"):
        execute(f"{CLAIM_SLOT_0} WHERE batch_id = $1 AND chunk_index = 1", batch_id)


@pytest.mark.parametrize(
    ("fanout", "outcome"), [pytest.param(1, Outcome.REFUSED, id="one slot"), pytest.param(2, Outcome.DONE, id="two")]
)
def test_a_slot_lost_at_the_last_moment_costs_nothing_while_another_is_free(fanout: int, outcome: Outcome) -> None:
    batch_id = batch(phone(), [[sample(1)], [sample(2)]])
    blocked_by = "SELECT 1 FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))"
    with with_settings(chunk_fanout=fanout), psycopg.connect(os.environ["DATABASE_URL"]) as first:
        first.execute(f"{CLAIM_SLOT_0} WHERE batch_id = %s AND chunk_index = 0", (batch_id,))
        second = in_another_session(lambda: chunk_run(batch_id=batch_id, chunk_index=1, holder="x"))
        wait_until(
            lambda: fetch_all(blocked_by, first.info.backend_pid) != [],
            what="the second claim waits for the first one's slot",
        )
        first.commit()
        assert second.result() is outcome


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param("done", Refusal("done"), id="done"),
        pytest.param("waiting", Refusal("waiting"), id="waiting for its retry"),
        pytest.param("uploading", Refusal("not_ready"), id="upload not complete"),
        pytest.param("unknown", Refusal("unknown"), id="no such chunk"),
    ],
)
def test_refusals_say_why(status: str, reason: Refusal) -> None:
    batch_id = batch(phone(), [[sample()]], status="PENDING" if status == "uploading" else "PROCESSING")
    if status == "done":
        chunk_run(batch_id=batch_id, chunk_index=0, holder="x")
    if status == "waiting":
        execute("UPDATE healthkit_import_chunk SET next_attempt_at = clock_timestamp() + interval '1 hour'")
    wanted = uuid.uuid4() if status == "unknown" else batch_id
    assert chunk_claim(batch_id=wanted, chunk_index=0, holder="x") == reason


def test_worker_parks_mid_chunk_with_nothing_visible() -> None:
    owner = phone()
    samples = [sample(minute) for minute in range(9)]
    batch_id = batch(owner, [samples])
    with parked(owner, samples[4]):
        other = in_another_session(lambda: chunk_run(batch_id=batch_id, chunk_index=0, holder="parked"))
        backend = waiting_backend()
        assert backend["xid"] is not None
        assert (count("data_record"), count("record_fingerprint")) == (0, 0)
    assert other.result() is Outcome.DONE
    assert count("data_record") == 9


def test_live_holder_keeps_its_claim_beyond_a_sweep() -> None:
    owner = phone()
    samples = [sample(1)]
    batch_id = batch(owner, [samples])
    with parked(owner, samples[0]):
        other = in_another_session(lambda: chunk_run(batch_id=batch_id, chunk_index=0, holder="parked"))
        waiting_backend()
        age(batch_id, SWEEP)
        assert dead_claims_reap() == []
    assert other.result() is Outcome.DONE


def test_claim_of_a_dead_holder_is_taken_over_after_one_sweep() -> None:
    batch_id = batch(phone(), [[sample()]])
    claim(batch_id)
    assert chunk_run(batch_id=batch_id, chunk_index=0, holder="too early") is Outcome.REFUSED
    age(batch_id, SWEEP)
    assert chunk_run(batch_id=batch_id, chunk_index=0, holder="heir") is Outcome.DONE
    state = chunk_state(batch_id)
    assert (state["interruptions"], state["executions"]) == (1, 2)


def test_killed_holder_frees_its_claim_with_its_backend() -> None:
    owner = phone()
    samples = [sample(1)]
    batch_id = batch(owner, [samples])
    with parked(owner, samples[0]):
        other = in_another_session(lambda: chunk_claim_and_hang(batch_id))
        backend = waiting_backend()
        age(batch_id, SWEEP)
        assert dead_claims_reap() == []
        fetch_one("SELECT pg_terminate_backend($1, 5000)", backend["pid"])
        assert [each.chunk_index for each in dead_claims_reap()] == [0]
    with pytest.raises(psycopg.errors.AdminShutdown):
        other.result()


def chunk_claim_and_hang(batch_id: uuid.UUID) -> None:
    """A holder that is killed: it claims and works, but never gets to releasing."""
    from healthkit.database import raw_connection
    from healthkit.importing.chunk import samples_validate
    from healthkit.importing.transaction import chunk_import
    from healthkit.raw_samples import samples_parse

    made = claim(batch_id)
    samples = samples_parse(made.samples)
    chunk_import(raw_connection(), made, samples_validate(made.context, list(enumerate(samples))), samples)


def test_expired_claim_is_taken_from_a_live_holder_whose_commit_is_then_refused() -> None:
    owner = phone()
    samples = [sample(1), sample(2)]
    batch_id = batch(owner, [samples])
    with parked(owner, samples[0]):
        zombie = in_another_session(lambda: chunk_run(batch_id=batch_id, chunk_index=0, holder="zombie"))
        waiting_backend()
        age(batch_id, CLAIM_TIMEOUT)
        assert [each.chunk_index for each in dead_claims_reap()] == [0]
    assert zombie.result() is Outcome.LOST
    assert count("data_record") == 0
    assert counters_read()["claims_lost"] == 1
    assert chunk_run(batch_id=batch_id, chunk_index=0, holder="heir") is Outcome.DONE
    assert (count("data_record"), batch_state(batch_id)["done_count"]) == (2, 1)


def test_zombie_that_lost_its_claim_before_the_first_write_writes_nothing() -> None:
    batch_id = batch(phone(), [[sample(1)]])
    from healthkit.database import raw_connection
    from healthkit.importing.chunk import samples_validate
    from healthkit.importing.transaction import ClaimLost, chunk_import
    from healthkit.raw_samples import samples_parse

    stale = claim(batch_id)
    age(batch_id, CLAIM_TIMEOUT)
    assert chunk_run(batch_id=batch_id, chunk_index=0, holder="heir") is Outcome.DONE
    samples = samples_parse(stale.samples)
    with pytest.raises(ClaimLost, match="before the first write"):
        chunk_import(raw_connection(), stale, samples_validate(stale.context, list(enumerate(samples))), samples)
    assert count("data_record") == 1
