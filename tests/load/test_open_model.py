"""Locust, in processes of its own, against a server that is slow: the timetable goes on without it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest

from harness.clock import wait_for
from harness.devices.balancer import Balancer
from harness.errors import LabError
from harness.ledger import Ledger
from harness.load.crowd import LocustCrowd
from harness.load.locust_processes import LocustProcesses
from harness.load.order import LoadOrder
from harness.load.progress import Stage
from harness.load.timetable import timetable
from tests.load.conftest import MakeOrder

DELAY_S = 6.0
"""Longer than the whole timetable: a schedule that waits for answers would fall behind by more than its own length."""


@contextmanager
def slow_server() -> Iterator[str]:
    """Answers every request with 503, `DELAY_S` later, or at once when the test is over."""
    over = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            over.wait(DELAY_S)
            self.send_response(503)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            serving.join(5.0)


def prepared(order: LoadOrder, directory: Path) -> LocustCrowd:
    ledger = Ledger(directory)
    processes = LocustProcesses(order=order, directory=directory / "locust")
    balancer = Balancer(order.targets)
    return LocustCrowd(order, directory, ledger=ledger, balancer=balancer, processes=processes, say=lambda _: None)


def play(order: LoadOrder, directory: Path, *, ui: bool = False) -> LocustCrowd:
    with Ledger(directory) as ledger:
        processes = LocustProcesses(order=order, directory=directory / "locust", ui=ui)
        balancer = Balancer(order.targets)
        crowd = LocustCrowd(order, directory, ledger=ledger, balancer=balancer, processes=processes, say=lambda _: None)
        try:
            crowd.start()
            crowd.join(timeout_s=90.0)
        finally:
            crowd.stop()
    return crowd


@pytest.mark.parametrize("processes", [1, 2])
def test_a_slow_server_does_not_slow_the_timetable(order: MakeOrder, tmp_path: Path, processes: int) -> None:
    with slow_server() as url:
        asked = order(
            targets={"slow": url},
            processes=processes,
            users=6,
            rate_per_s=3.0,
            run_time_s=4.0,
            patience_s=30.0,
            retry_for_s=0.1,
            directory=str(tmp_path / "run" / "processes"),
        )
        crowd = play(asked, tmp_path / "run")
    assert crowd.errors() == ()
    assert crowd.progress().stage is Stage.OVER
    lines = (tmp_path / "run" / "arrivals.jsonl").read_text().splitlines()
    late = [orjson.loads(line)["late_s"] for line in lines if line]
    assert len(late) == len(timetable(asked))
    assert max(late) < DELAY_S
    ops = [orjson.loads(line) for line in (tmp_path / "run" / "ledger.jsonl").read_text().splitlines() if line]
    assert {each["kind"] for each in ops} == {"register"}
    assert all(each["attempts"][0]["took_s"] >= DELAY_S for each in ops)
    assert {each["outcome"] for each in ops} == {"UNKNOWN"}
    assert {each.name for each in (tmp_path / "run" / "locust").iterdir()} >= {"locust.html", "locust_stats.csv"}


@pytest.mark.parametrize(
    ("processes", "killed"),
    [(1, "locust"), (2, "worker-1"), (2, "master")],
    ids=["the only one", "a worker", "the master"],
)
@pytest.mark.parametrize("stage", [Stage.PREPARING, Stage.ARRIVING], ids=str)
def test_what_dies_of_locust_ends_the_run_with_its_last_words(
    order: MakeOrder, tmp_path: Path, processes: int, killed: str, stage: Stage
) -> None:
    asked = order(targets={"nobody": "http://127.0.0.1:9"}, processes=processes, run_time_s=60.0, patience_s=5.0)
    crowd = prepared(asked, tmp_path / "run")
    locust = crowd.processes
    assert isinstance(locust, LocustProcesses)
    try:
        crowd.start()
        wait_for(lambda: crowd.progress().stage is stage, awaiting=str(stage), timeout_s=60.0)
        locust.running[killed].kill()
        with pytest.raises(
            LabError, match=rf"Locust ended while .*\n{killed} ended with exit code -9; its last words:"
        ):
            crowd.wait_arrived()
        with pytest.raises(LabError, match=f"{killed} ended"):
            crowd.join(timeout_s=30.0)
    finally:
        crowd.stop()
        crowd.ledger.close()


def test_with_its_page_open_locust_is_ended_and_leaves_the_page(order: MakeOrder, tmp_path: Path) -> None:
    place = tmp_path / "run"
    asked = order(targets={"nobody": "http://127.0.0.1:9"}, users=1, run_time_s=1.0, retry_for_s=0.1)
    crowd = play(asked, place, ui=True)
    assert crowd.processes.web_port is not None
    assert not crowd.processes.is_running
    assert crowd.errors() == ()
    assert {each.name for each in (place / "locust").iterdir()} >= {"locust.html", "locust_stats.csv"}
