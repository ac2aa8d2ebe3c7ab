"""How runs that do not commit are counted, retried and ended."""

import base64
import os
import random
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from unittest.mock import patch

import psycopg
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection

from healthkit.database import execute, fetch_all
from healthkit.importing import chunk as chunk_module
from healthkit.importing import dead_claims
from healthkit.importing.chunk import Outcome, chunk_run
from healthkit.importing.claim import Claim, Refusal, chunk_claim
from healthkit.importing.dead_claims import dead_claims_reap
from tests.app.environment import SWEEP_INTERVAL_S
from tests.app.imports import (
    age,
    batch,
    batch_state,
    chunk_state,
    count,
    in_another_session,
    parked,
    phone,
    queued,
    sample,
    sessions_waiting,
    waiting_backend,
    with_settings,
)

pytestmark = pytest.mark.usefixtures("stores")


@contextmanager
def poison(batch_id: uuid.UUID, index: int) -> Iterator[None]:
    """A rule of the database that raises whenever that chunk's records are inserted."""
    chunk_id = chunk_state(batch_id, index)["id"]
    execute(
        "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $p$ BEGIN IF NEW.chunk_id = "
        f"{chunk_id} THEN RAISE EXCEPTION 'poisoned'; END IF; RETURN NEW; END $p$"
    )
    execute("CREATE TRIGGER poison BEFORE INSERT ON healthkit_data_record FOR EACH ROW EXECUTE FUNCTION poison()")
    try:
        yield
    finally:
        execute("DROP FUNCTION poison CASCADE")


def test_data_errors_run_four_times_then_the_chunk_has_failed_and_the_others_go_on() -> None:
    batch_id = batch(phone(), [[sample(1)], [sample(2)], [sample(3)]])
    assert chunk_run(batch_id=batch_id, chunk_index=0, holder="x") is Outcome.DONE
    with poison(batch_id, 1):
        outcomes = []
        for delay in (1, 2, 4, 0):
            outcomes.append(chunk_run(batch_id=batch_id, chunk_index=1, holder="x"))
            if delay:
                age(batch_id, delay - 0.5)
                assert chunk_run(batch_id=batch_id, chunk_index=1, holder="early") is Outcome.REFUSED
                age(batch_id, 0.5)
        assert outcomes == [Outcome.RETRIED, Outcome.RETRIED, Outcome.RETRIED, Outcome.FAILED]
    assert chunk_run(batch_id=batch_id, chunk_index=2, holder="x") is Outcome.DONE
    failed = chunk_state(batch_id, 1)
    assert (failed["status"], failed["executions"], failed["data_attempts"]) == ("FAILED", 4, 4)
    assert failed["last_error"] == "RaiseException [P0001]: poisoned"
    assert failed["samples"] != ""
    assert [chunk_state(batch_id, index)["executions"] for index in (0, 2)] == [1, 1]
    ended = batch_state(batch_id)
    assert (ended["status"], ended["done_count"], ended["failed_count"]) == ("COMPLETED", 2, 1)
    assert fetch_all("SELECT chunk_id, reason FROM healthkit_dead_letter") == [(failed["id"], failed["last_error"])]


def test_a_batch_of_which_nothing_could_be_imported_has_failed() -> None:
    batch_id = batch(phone(), ["not json"])
    with with_settings(chunk_retry_delays_s=()):
        assert chunk_run(batch_id=batch_id, chunk_index=0, holder="x") is Outcome.FAILED
    assert batch_state(batch_id)["status"] == "FAILED"
    assert batch_state(batch_id)["finished_at"] is not None


def test_a_chunk_that_waits_for_its_retry_does_not_hold_the_next_one() -> None:
    batch_id = batch(phone(), ["not json", [sample(1)]])
    assert chunk_run(batch_id=batch_id, chunk_index=0, holder="x") is Outcome.RETRIED
    assert queued() == [(str(batch_id), 1)]


def test_interruptions_back_off_from_the_second_on_and_end_in_failed() -> None:
    batch_id = batch(phone(), [[sample()]])
    delays = []
    with with_settings(max_interruptions=4):
        for _ in range(4):
            age(batch_id, 60)
            claimed = chunk_claim(batch_id=batch_id, chunk_index=0, holder="doomed")
            assert not isinstance(claimed, Refusal)
            age(batch_id, 1)
            [ended] = dead_claims_reap()
            delays.append((ended.delay_s, ended.has_failed))
    assert delays == [(0.0, False), (SWEEP_INTERVAL_S, False), (2 * SWEEP_INTERVAL_S, False), (0.0, True)]
    state = chunk_state(batch_id)
    assert (state["status"], state["interruptions"], state["data_attempts"]) == ("FAILED", 4, 0)
    assert batch_state(batch_id)["status"] == "FAILED"
    assert count("dead_letter") == 1


# An anchor that no index has room for, as only an older version of the app would have taken it.
ENDLESS = base64.b64encode(random.Random(1).randbytes(3_000)).decode()


def test_what_postgres_has_no_room_for_is_the_datas_fault() -> None:
    batch_id = batch(phone(), [[sample()]], new_anchor=ENDLESS)
    assert chunk_run(batch_id=batch_id, chunk_index=0, holder="x") is Outcome.RETRIED
    state = chunk_state(batch_id)
    assert (state["data_attempts"], state["infra_attempts"]) == (1, 0)


@pytest.mark.parametrize("error", [psycopg.errors.ProgramLimitExceeded, psycopg.errors.StatementTooComplex])
def test_so_is_what_it_has_no_depth_for(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Claim) -> None:
        raise error("no room")

    batch_id = batch(phone(), [[sample()]])
    monkeypatch.setattr(chunk_module, "_import", refuse)
    assert chunk_run(batch_id=batch_id, chunk_index=0, holder="x") is Outcome.RETRIED
    state = chunk_state(batch_id)
    assert (state["data_attempts"], state["infra_attempts"]) == (1, 0)


def test_a_claim_that_cannot_be_freed_is_told_and_keeps_no_other_from_being_freed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stuck, free = (batch(phone(), [[sample()]], new_anchor="a" * anchor) for anchor in (1, 2))
    for batch_id in (stuck, free):
        assert not isinstance(chunk_claim(batch_id=batch_id, chunk_index=0, holder="doomed"), Refusal)
        age(batch_id, 60)
    execute("UPDATE healthkit_import_batch SET new_anchor = $2 WHERE id = $1", stuck, ENDLESS)
    with with_settings(max_interruptions=1):
        assert [ended.batch_id for ended in dead_claims_reap()] == [free]
    assert [getattr(each, "event", "") for each in caplog.records].count("claim_not_freed") == 1
    assert chunk_state(stuck)["status"] == "PENDING"


def test_a_look_for_dead_claims_that_cannot_be_made_is_not_made_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_claims, "_DEAD", dead_claims._DEAD.replace("claimed_by", "gone"))
    with pytest.raises(psycopg.errors.UndefinedColumn):
        dead_claims_reap()


def test_two_who_take_over_chunks_of_the_same_batches_do_not_wait_for_each_other_in_a_circle() -> None:
    """Each frees two chunks, which are the last but one and the last of the same two batches, in opposite order."""
    first, second = (batch(phone(), [[sample(1)], [sample(2)]]) for _ in range(2))
    execute("UPDATE healthkit_import_chunk SET id = 9 WHERE batch_id = $1 AND chunk_index = 1", first)
    with with_settings(chunk_fanout=2, max_interruptions=1), psycopg.connect(os.environ["DATABASE_URL"]) as lab:
        for batch_id, index in ((first, 0), (second, 0), (second, 1), (first, 1)):
            assert isinstance(chunk_claim(batch_id=batch_id, chunk_index=index, holder="dead"), Claim)
        lab.execute("SELECT 1 FROM healthkit_import_batch WHERE id = %s FOR UPDATE", (first,))
        reapers = []
        for dead in ((first, 0), (second, 0)), ((second, 1), (first, 1)):
            for batch_id, index in dead:
                expire(batch_id, index)
            reapers.append(in_another_session(dead_claims_reap))
            sessions_waiting(len(reapers))
        lab.rollback()
        freed = [ended.chunk_id for each in reapers for ended in each.result()]
    assert sorted(freed) == [1, 3, 4, 9]
    assert [batch_state(each)["status"] for each in (first, second)] == ["FAILED", "FAILED"]


def expire(batch_id: uuid.UUID, index: int) -> None:
    execute(
        "UPDATE healthkit_import_chunk SET claimed_at = claimed_at - interval '1 hour',"
        " claim_expires_at = claimed_at - interval '1 hour' WHERE batch_id = $1 AND chunk_index = $2",
        batch_id,
        index,
    )


def test_infrastructure_never_fails_a_chunk() -> None:
    batch_id = batch(phone(), [[sample()]])
    with patch.object(chunk_module, "chunk_import", side_effect=psycopg.errors.LockNotAvailable("a lock")):
        for _ in range(30):
            assert chunk_run(batch_id=batch_id, chunk_index=0, holder="x") is Outcome.RELEASED
            age(batch_id, 60)
    state = chunk_state(batch_id)
    assert (state["status"], state["infra_attempts"], state["data_attempts"]) == ("PENDING", 30, 0)
    assert chunk_run(batch_id=batch_id, chunk_index=0, holder="x") is Outcome.DONE


def test_terminated_session_releases_the_claim_at_once() -> None:
    owner = phone()
    samples = [sample(1)]
    batch_id = batch(owner, [samples])
    with parked(owner, samples[0]):
        other = in_another_session(lambda: chunk_run(batch_id=batch_id, chunk_index=0, holder="x"))
        fetch_all("SELECT pg_terminate_backend($1, 5000)", waiting_backend()["pid"])
        assert other.result() is Outcome.RELEASED
    state = chunk_state(batch_id)
    assert (state["claim_token"], state["infra_attempts"], state["interruptions"]) == (None, 1, 0)


def test_lock_timeout_is_infrastructure() -> None:
    owner = phone()
    samples = [sample(1)]
    batch_id = batch(owner, [samples])
    with role_setting("lock_timeout", "200ms"), parked(owner, samples[0]):
        outcome = chunk_run(batch_id=batch_id, chunk_index=0, holder="x")
    assert outcome is Outcome.RELEASED
    assert chunk_state(batch_id)["last_error"].startswith("LockNotAvailable [55P03]")


@pytest.mark.parametrize(
    ("raised", "outcome", "counter"),
    [
        pytest.param(SoftTimeLimitExceeded(), Outcome.RELEASED, "interruptions", id="soft limit"),
        pytest.param(SystemExit(1), SystemExit, "infra_attempts", id="told to stop"),
        pytest.param(KeyboardInterrupt(), KeyboardInterrupt, "infra_attempts", id="Ctrl-C"),
    ],
)
def test_a_stop_in_the_middle_of_a_statement_releases_the_claim_at_once(
    raised: BaseException, outcome: object, counter: str
) -> None:
    owner = phone()
    samples = [sample(1)]
    batch_id = batch(owner, [samples])
    # Nothing but the cancel ends the backend that waits: its own look for its client comes too late.
    with role_setting("client_connection_check_interval", "1min"), parked(owner, samples[0]), raised_by_signal(raised):
        watcher = in_another_session(signal_when_parked)
        if isinstance(outcome, Outcome):
            assert chunk_run(batch_id=batch_id, chunk_index=0, holder="x") is outcome
        else:
            with pytest.raises(type(raised)):
                chunk_run(batch_id=batch_id, chunk_index=0, holder="x")
        state = chunk_state(batch_id)
        assert (state["claim_token"], state[counter], state["data_attempts"]) == (None, 1, 0)
        assert fetch_all("SELECT 1 FROM pg_stat_activity WHERE pid = $1", watcher.result()) == []
    assert chunk_run(batch_id=batch_id, chunk_index=0, holder="heir") is Outcome.DONE


@contextmanager
def role_setting(name: str, value: str) -> Iterator[None]:
    """Another setting of the app's role, for connections opened inside."""
    [(before,)] = fetch_all("SELECT current_setting($1)", name)
    execute(f"ALTER ROLE CURRENT_USER SET {name} = '{value}'")
    connection.close()
    try:
        yield
    finally:
        execute(f"ALTER ROLE CURRENT_USER SET {name} = '{before}'")
        connection.close()


@contextmanager
def raised_by_signal(error: BaseException) -> Iterator[None]:
    """As in a pool child: a signal's handler raises in the middle of whatever the main thread does."""

    def handler(signum: int, frame: FrameType | None) -> None:
        raise error

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def signal_when_parked() -> int:
    """Signal the main thread as soon as its backend waits for a lock; that backend's pid."""
    pid = int(waiting_backend()["pid"])
    ident = threading.main_thread().ident
    assert ident is not None
    signal.pthread_kill(ident, signal.SIGUSR1)
    return pid
