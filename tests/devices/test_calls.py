"""Client, caller and balancer against a small real server that answers, refuses, hangs up and stalls."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.clock import wait_for
from harness.devices.balancer import Balancer, NoTarget
from harness.devices.caller import Call, Caller
from harness.devices.client import PhoneClient, classify
from harness.errors import WaitTimeout
from harness.ledger import Ledger, Outcome

PATIENCE_S = 60.0
ANSWER_TIMEOUT_S = 3.0
"""What a server that stalls costs a test; the others answer at once."""
OK: tuple[int, dict[str, Any], dict[str, str]] = (200, {"data": {"x": 1}}, {})


def refused(status: int, code: str, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    return status, {"errors": [{"message": "no", "extensions": {"code": code}}]}, headers


@dataclass
class Script:
    """What the server answers, in turn; the last one for ever. A text instead of an answer: hang up or cut short."""

    answers: list[Any] = field(default_factory=lambda: [OK])
    is_healthy: bool = True

    def next(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if script.is_healthy else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer = script.next()
            if answer == "hang up":
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if answer == "stall":
                stalled.wait(PATIENCE_S)
                return
            status, body, headers = (200, OK[1], {}) if answer == "cut" else answer
            raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw) + (10 if answer == "cut" else 0)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    stalled = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    stalled.set()
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def calling(url: str, tmp_path: Path, *, retry_for_s: float) -> Iterator[Caller]:
    client = PhoneClient(Balancer({"api-1": url}), connect_timeout_s=PATIENCE_S, timeout_s=ANSWER_TIMEOUT_S)
    with Ledger(tmp_path) as ledger:
        stop = threading.Event()
        yield Caller(user="u", device="u/d", client=client, ledger=ledger, stop=stop, retry_for_s=retry_for_s)
    client.close()


@pytest.fixture
def caller(url: str, tmp_path: Path) -> Iterator[Caller]:
    with calling(url, tmp_path, retry_for_s=PATIENCE_S) as made:
        yield made


def noted(tmp_path: Path) -> dict[str, Any]:
    [line] = (tmp_path / "ledger.jsonl").read_text().splitlines()
    op: dict[str, Any] = json.loads(line)
    return op


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, '{"data": {"x": 1}}', (Outcome.OK, None)),
        (400, '{"errors": [{"extensions": {"code": "BAD_REQUEST"}}]}', (Outcome.FAILED, "BAD_REQUEST")),
        (200, '{"data": null, "errors": [{"extensions": {"code": "NOT_FOUND"}}]}', (Outcome.FAILED, "NOT_FOUND")),
        (404, "<html>", (Outcome.FAILED, None)),
        (503, '{"errors": [{"extensions": {"code": "UNAVAILABLE"}}]}', (Outcome.UNKNOWN, "UNAVAILABLE")),
        (500, "oops", (Outcome.UNKNOWN, None)),
        (200, "", (Outcome.UNKNOWN, None)),
        (200, '{"data": nul', (Outcome.UNKNOWN, None)),
        (200, "[]", (Outcome.UNKNOWN, None)),
        (200, '{"errors": [{"message": "x"}]}', (Outcome.UNKNOWN, "")),
        (502, '{"data": {"x": 1}}', (Outcome.UNKNOWN, None)),
    ],
    ids=[
        "ok",
        "4xx",
        "pre-write code",
        "4xx unreadable",
        "503",
        "500",
        "empty",
        "partial",
        "no object",
        "no code",
        "502",
    ],
)
def test_classification(status: int, body: str, expected: tuple[Outcome, str | None]) -> None:
    assert classify(status, body.encode())[:2] == expected


@pytest.mark.parametrize(
    ("answers", "outcome", "attempts"),
    [
        ([OK], "OK", ["OK"]),
        ([refused(409, "CONFLICT")], "FAILED", ["FAILED"]),
        (["hang up", OK], "OK", ["UNKNOWN", "OK"]),
        (["cut", OK], "OK", ["UNKNOWN", "OK"]),
        (["stall", OK], "OK", ["UNKNOWN", "OK"]),
        (["hang up", refused(409, "CONFLICT")], "UNKNOWN", ["UNKNOWN", "FAILED"]),
        ([refused(503, "UNAVAILABLE", **{"Retry-After": "1"}), OK], "OK", ["UNKNOWN", "OK"]),
        ([refused(429, "RATE_LIMITED", **{"Retry-After": "0"}), OK], "OK", ["FAILED", "OK"]),
        (
            [refused(429, "RATE_LIMITED", **{"Retry-After": "0"}), refused(404, "NOT_FOUND")],
            "FAILED",
            ["FAILED", "FAILED"],
        ),
    ],
    ids=["ok", "refused", "reset", "partial", "timeout", "refused after unknown", "503", "429", "429 then refused"],
)
def test_outcome_of_an_op(
    caller: Caller, script: Script, tmp_path: Path, answers: list[Any], outcome: str, attempts: list[str]
) -> None:
    script.answers = answers
    caller.make(Call(kind="x", query="q", variables={}, may_refuse=frozenset({"CONFLICT", "NOT_FOUND"})))
    op = noted(tmp_path)
    assert (op["outcome"], [each["outcome"] for each in op["attempts"]], op["wrong"]) == (outcome, attempts, [])


def test_unresolved_stays_unknown(url: str, script: Script, tmp_path: Path) -> None:
    script.answers = ["hang up"]
    with calling(url, tmp_path, retry_for_s=5.0) as caller:
        assert caller.make(Call(kind="x", query="q", variables={})).outcome is Outcome.UNKNOWN
    assert len(noted(tmp_path)["attempts"]) > 2


@pytest.mark.parametrize(
    ("answer", "call", "wrong"),
    [
        (OK, {"check": lambda data: ["x is odd"]}, "x is odd"),
        (OK, {"check": lambda data: data["y"]}, "unreadable answer"),
        (OK, {"refusal": "NOT_FOUND"}, "must be refused with NOT_FOUND"),
        (refused(409, "CONFLICT"), {"refusal": "NOT_FOUND"}, "refused with CONFLICT; it must be NOT_FOUND"),
        (refused(404, "NOT_FOUND"), {}, "nothing about it was wrong"),
        ((404, "<html>", {}), {"may_refuse": frozenset({None})}, "without extensions.code"),
    ],
    ids=["wrong", "unreadable", "not refused", "refused otherwise", "refused", "no code"],
)
def test_wrong_answers(
    caller: Caller, script: Script, tmp_path: Path, answer: Any, call: dict[str, Any], wrong: str
) -> None:
    script.answers = [answer]
    caller.make(Call(kind="x", query="q", variables={}, **call))
    [problem] = noted(tmp_path)["wrong"]
    assert wrong in problem


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ((500, "Traceback (most recent call last)", {}), ["with a stack trace", "HTTP 500"]),
        (refused(503, "UNAVAILABLE"), ["without Retry-After"]),
    ],
    ids=["trace", "503"],
)
def test_what_no_answer_may_be(caller: Caller, script: Script, tmp_path: Path, answer: Any, wrong: list[str]) -> None:
    script.answers = [answer, OK]
    caller.make(Call(kind="x", query="q", variables={}))
    problems = noted(tmp_path)["wrong"]
    assert len(problems) == len(wrong)
    assert all(words in problem for words, problem in zip(wrong, problems, strict=True))


def test_balancer_turns_pins_and_deregisters() -> None:
    balancer = Balancer({"api-1": "http://a/", "api-2": "http://b"})
    assert [balancer.pick().name for _ in range(4)] == ["api-1", "api-2", "api-1", "api-2"]
    assert balancer.pick("api-2").url == "http://b"
    balancer.deregister("api-2")
    assert {balancer.pick().name for _ in range(3)} == {"api-1"}
    with pytest.raises(NoTarget, match="api-2"):
        balancer.pick("api-2")
    balancer.deregister("api-1")
    with pytest.raises(NoTarget, match="no api replica"):
        balancer.pick()
    balancer.register("api-3", "http://c")
    assert balancer.pick().name == "api-3"


def test_a_drained_replica_ends_what_it_has_and_gets_nothing_new_until_it_is_back() -> None:
    balancer = Balancer({"api-1": "http://a", "api-2": "http://b"})
    with balancer.serving("api-2"), pytest.raises(WaitTimeout, match="1 in flight"):
        balancer.drain("api-2", timeout_s=0.0)
    balancer.drain("api-2", timeout_s=0.0)
    assert {balancer.pick().name for _ in range(3)} == {"api-1"}
    with balancer.serving("api-2") as pinned:
        assert pinned.url == "http://b"
    balancer.register("api-2", "http://b")
    assert {balancer.pick().name for _ in range(2)} == {"api-1", "api-2"}


def test_balancer_leaves_the_unhealthy_out(url: str, script: Script) -> None:
    balancer = Balancer({"api-1": url, "api-2": "http://127.0.0.1:1"}, interval_s=0.02, timeout_s=PATIENCE_S)
    balancer.start()
    try:
        wait_for(lambda: balancer.healthy() == ("api-1",), awaiting="api-2 to be left out", timeout_s=PATIENCE_S)
        assert {balancer.pick().name for _ in range(3)} == {"api-1"}
        script.is_healthy = False
        wait_for(lambda: balancer.healthy() == (), awaiting="none healthy", timeout_s=PATIENCE_S)
        assert {balancer.pick().name for _ in range(4)} == {"api-1", "api-2"}, "fails open"
        script.is_healthy = True
        wait_for(lambda: balancer.healthy() == ("api-1",), awaiting="api-1 back", timeout_s=PATIENCE_S)
    finally:
        balancer.stop()
