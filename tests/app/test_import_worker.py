"""One real worker: the chain of chunks, and a pool child that is killed in the middle of one."""

import os
import signal
import uuid
from pathlib import Path

import pytest

from healthkit.database import fetch_all
from tests.app.imports import batch, batch_state, chunk_state, count, parked, phone, sample, waiting_backend
from tests.app.processes import worker
from tests.app.waiting import wait_until

pytestmark = pytest.mark.usefixtures("stores")


def has_completed(batch_id: uuid.UUID) -> bool:
    return bool(batch_state(batch_id)["status"] == "COMPLETED")


def test_worker_does_a_batch_survives_a_killed_child_and_stops_in_the_middle_of_a_chunk(tmp_path: Path) -> None:
    owner = phone()
    whole = batch(owner, [[sample(minute, hour=hour)] for hour in range(4) for minute in range(5)])
    with worker(name="worker-1", directory=tmp_path, module="backend") as running:
        wait_until(lambda: has_completed(whole), what="20 chunks", log=running.log)
        assert fetch_all("SELECT max(executions) FROM healthkit_import_chunk") == [(1,)]

        samples = [sample(minute, day=7) for minute in range(9)]
        killed = batch(owner, [samples])
        with parked(owner, samples[4]):
            [(name,)] = fetch_all(
                "SELECT application_name FROM pg_stat_activity WHERE pid = $1", waiting_backend()["pid"]
            )
            os.kill(int(name.rsplit(":", 1)[1]), signal.SIGKILL)
            wait_until(
                lambda: chunk_state(killed)["claimed_by"] not in ("", name.split(":", 1)[1]),
                what="taken over while the tripwire holds",
                log=running.log,
            )
        wait_until(lambda: has_completed(killed), what="the killed chunk", log=running.log)
        assert (chunk_state(killed)["executions"], chunk_state(killed)["interruptions"]) == (2, 1)

        samples = [sample(minute, day=8) for minute in range(9)]
        stopped = batch(owner, [samples])
        with parked(owner, samples[4]):
            waiting_backend()
            running.send(signal.SIGTERM)
            wait_until(lambda: chunk_state(stopped)["claim_token"] is None, what="released", log=running.log)
            running.await_end()
        assert (chunk_state(stopped)["infra_attempts"], chunk_state(stopped)["interruptions"]) == (1, 0)
    assert count("data_record") == 20 + 9
