"""A worker that is told to stop: quick, whole, and with nothing lost."""

import os
import signal
from pathlib import Path

import pytest
import redis

from harness.clock import pause
from harness.errors import WaitTimeout
from tests.app.environment import QUICK
from tests.app.processes import Service, broker_pid, worker
from tests.app.waiting import PATIENCE_S, wait_until

SOFT_SHUTDOWN_S = float(QUICK["SOFT_SHUTDOWN_S"])
HANG_S = 5.0
WIDE = {"SOFT_SHUTDOWN_S": f"{2 * PATIENCE_S:g}", "STOP_TIMEOUT_S": f"{4 * PATIENCE_S:g}"}
"""A window so long that no wait of these tests would see its end."""

pytestmark = pytest.mark.usefixtures("stores")


def send(name: str, *args: object) -> None:
    from backend.publish import publish

    assert publish(name, args)


def lines(marks: Path) -> list[str]:
    return [line.split()[0] for line in marks.read_text().splitlines()]


def await_start(marks: Path, *, by: Service) -> None:
    wait_until(lambda: "start" in lines(marks), what="the task runs", log=by.log)


@pytest.mark.parametrize("remap", ["SIGQUIT", ""], ids=["soft", "warm"])
def test_a_job_that_is_being_written_when_the_signal_comes_is_done_and_acked(
    tmp_path: Path, marks: Path, broker: redis.Redis, remap: str
) -> None:
    armed = tmp_path / "armed"
    with worker(
        name="w",
        directory=tmp_path,
        module="tests.app.worker_stopped_midwrite",
        ARMED=str(armed),
        REMAP_SIGTERM=remap,
    ) as stopped:
        armed.touch()
        send("tests.note", "done")
        status, _ = stopped.await_end()
    assert status == 0
    assert marks.read_text() == "done\n"
    assert (broker.llen("default"), broker.hlen("unacked")) == (0, 0)


def test_celerys_own_handlers_hang_at_that_very_point(tmp_path: Path, marks: Path) -> None:
    armed = tmp_path / "armed"
    with worker(
        name="w",
        directory=tmp_path,
        module="tests.app.worker_stopped_midwrite",
        ARMED=str(armed),
        STOCK_HANDLERS="1",
    ) as stopped:
        armed.touch()
        send("tests.note", "done")
        wait_until(lambda: not armed.exists(), what="the signal was sent", log=stopped.log)
        with pytest.raises(WaitTimeout):
            stopped.await_end(within_s=HANG_S)


def test_idle_worker_stops_without_waiting_for_the_window(tmp_path: Path, marks: Path) -> None:
    with worker(name="w", directory=tmp_path, **WIDE) as idle:
        status, _ = idle.stop()
    assert status == 0
    assert len(idle.events("stop_requested")) == 1


@pytest.mark.parametrize("remap", ["SIGQUIT", ""], ids=["soft", "warm"])
def test_a_stop_that_is_complete_does_not_wait_for_the_interpreters_end(
    tmp_path: Path, marks: Path, remap: str
) -> None:
    with worker(name="w", directory=tmp_path, module="tests.app.worker_slow_to_end", REMAP_SIGTERM=remap) as stopped:
        send("tests.note", "done")
        wait_until(lambda: "done" in lines(marks), what="the task was done", log=stopped.log)
        status, _ = stopped.stop()
    assert status == 0
    assert marks.read_text() == "done\n"


def test_window_ends_when_the_last_task_has_ended(tmp_path: Path, marks: Path, broker: redis.Redis) -> None:
    with worker(name="w", directory=tmp_path, **WIDE) as busy:
        send("tests.hold", str(tmp_path / "release"))
        await_start(marks, by=busy)
        busy.send(signal.SIGTERM)
        busy.await_event("stop_requested")
        (tmp_path / "release").touch()
        status, _ = busy.await_end()
    assert status == 0
    assert lines(marks) == ["start", "end"]
    assert broker.llen("default") == 0
    assert broker.hlen("unacked") == 0


def test_task_that_outlasts_the_window_goes_back_to_its_queue(tmp_path: Path, marks: Path, broker: redis.Redis) -> None:
    with worker(name="w", directory=tmp_path) as busy:
        send("tests.nap", 600.0)
        await_start(marks, by=busy)
        status, took_s = busy.stop()
    assert status == 0
    assert took_s > SOFT_SHUTDOWN_S * 0.9
    assert marks.read_text().splitlines()[1:] == ["cut short by SystemExit"]
    assert broker.llen("default") == 1
    assert broker.hlen("unacked") == 0


def test_second_signal_ends_the_window(tmp_path: Path, marks: Path, broker: redis.Redis) -> None:
    with worker(name="w", directory=tmp_path, **WIDE) as busy:
        send("tests.nap", 600.0)
        await_start(marks, by=busy)
        busy.send(signal.SIGTERM)
        busy.await_event("stop_requested")
        status, _ = busy.stop()
    assert status == 0
    assert broker.llen("default") == 1


def test_warm_shutdown_waits_for_the_task(tmp_path: Path, marks: Path, broker: redis.Redis) -> None:
    with worker(name="w", directory=tmp_path, REMAP_SIGTERM="") as busy:
        send("tests.hold", str(tmp_path / "release"))
        await_start(marks, by=busy)
        busy.send(signal.SIGTERM)
        busy.await_event("stop_requested")
        pause(2 * SOFT_SHUTDOWN_S)  # what must not happen has had its time
        (tmp_path / "release").touch()
        status, _ = busy.await_end()
    assert status == 0
    assert lines(marks) == ["start", "end"]
    assert broker.hlen("unacked") == 0


def test_signal_while_the_broker_is_away_is_obeyed_at_once(tmp_path: Path, marks: Path) -> None:
    with worker(name="w", directory=tmp_path) as lonely:
        send("tests.nap", 600.0)
        await_start(marks, by=lonely)
        pid = broker_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            lonely.await_event("broker_lost")
            status, _ = lonely.stop()
        finally:
            os.kill(pid, signal.SIGCONT)
    assert status == 0
    assert marks.read_text().splitlines()[1:] == ["cut short by SystemExit"]


def test_a_warm_stop_that_loses_the_broker_takes_no_more(tmp_path: Path, marks: Path, broker: redis.Redis) -> None:
    with worker(name="w", directory=tmp_path, REMAP_SIGTERM="") as busy:
        send("tests.hold", str(tmp_path / "release"))
        await_start(marks, by=busy)
        busy.send(signal.SIGTERM)
        busy.await_event("stop_requested")
        broker.client_kill_filter(_type="normal", skipme=True)
        busy.await_text("Warm shutdown")
        send("tests.note", "later")
        (tmp_path / "release").touch()
        status, _ = busy.await_end()
    assert status == 0
    assert lines(marks) == ["start", "end"]
