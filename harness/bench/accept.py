"""Accept latency: the app's API and the plain view, each on a gunicorn of its own, under the same concurrency, in turn.

Each client sends its next body when the last is answered. Rounds alternate between the two servers, so that whatever
else the machine does meets both.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from harness.bench.app_env import APP
from harness.bench.figures import percentile
from harness.clock import wait_for
from harness.devices.queries import REGISTER, START_IMPORT, UPLOAD_CHUNK
from harness.drivers.ports import ReservedPort
from harness.drivers.process.environments import own_environment

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
REQUEST_TIMEOUT_S = 30.0
PLAIN_SETTINGS = "tests.bench.plain"


@dataclass(frozen=True, slots=True)
class Load:
    """How hard: `clients` at once, `requests` each in a round, `chunk` samples in each body."""

    clients: int
    requests: int
    rounds: int
    chunk: int


def measure_accept(env: Mapping[str, str], load: Load, *, directory: Path) -> list[dict[str, float]]:
    """p95 in seconds of both servers, by round: keys `app` and `plain`."""
    with ExitStack() as stack:
        app = stack.enter_context(_server("api", env, directory=directory))
        plain_env = {**env, "DJANGO_SETTINGS_MODULE": PLAIN_SETTINGS}
        plain = stack.enter_context(_server("plain", plain_env, directory=directory))
        text = json.dumps(_samples(load.chunk), separators=(",", ":"))
        rounds: list[dict[str, float]] = []
        for number in range(load.rounds + 1):  # the first warms up
            body = _bodies(app, text=text, load=load, number=number)
            rounds.append({"app": _p95(app, body, load), "plain": _p95(plain, body, load)})
        return rounds[1:]


@contextmanager
def _server(name: str, env: Mapping[str, str], *, directory: Path) -> Iterator[str]:
    reserved = ReservedPort()
    url = f"http://127.0.0.1:{reserved.number}/graphql/"
    command = [str(own_environment().binaries / "gunicorn"), "backend.wsgi", "--bind", f"127.0.0.1:{reserved.number}"]
    log = directory / f"{name}.log"
    with log.open("wb") as file:
        server = subprocess.Popen(command, env=dict(env), cwd=APP, stdout=file, stderr=file)
    try:
        wait_for(
            lambda: _answers(url),
            awaiting=f"{name} to answer",
            timeout_s=START_TIMEOUT_S,
            seen=lambda: log.read_text(encoding="utf-8", errors="replace")[-2000:],
        )
        yield url
    finally:
        server.terminate()
        server.wait(STOP_TIMEOUT_S)
        reserved.release()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0).status_code < 600
    except httpx.HTTPError:
        return False


def _samples(count: int) -> list[dict[str, object]]:
    return [
        {
            "uuid": f"00000000-0000-4000-8000-{number:012d}",
            "type": HEART_RATE,
            "start": f"2026-01-{1 + number // 1440:02d}T{number // 60 % 24:02d}:{number % 60:02d}:00.000Z",
            "end": f"2026-01-{1 + number // 1440:02d}T{number // 60 % 24:02d}:{number % 60:02d}:00.000Z",
            "value": 55 + number % 97 * 0.5,
            "unit": "count/min",
            "source": {"id": "com.apple.health.watch", "name": "Watch", "kind": "watch"},
        }
        for number in range(count)
    ]


@dataclass(frozen=True, slots=True)
class _Body:
    """One client's token and requests."""

    token: str
    requests: tuple[bytes, ...]


def _bodies(url: str, *, text: str, load: Load, number: int) -> tuple[_Body, ...]:
    """A device and a batch for each client; the batch is one chunk larger, so that no import begins."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    bodies = []
    with httpx.Client(timeout=REQUEST_TIMEOUT_S) as http:
        for client in range(load.clients):
            account = f"bench-{load.chunk}-{number}-{client}"
            phone = {"accountKey": account, "deviceKey": account, "name": "phone", "timeZone": "UTC"}
            device = _ask(http, url, REGISTER, phone)
            token = device["registerDevice"]["token"]
            wanted = {"key": account, "type": HEART_RATE, "count": load.requests + 1}
            started = _ask(http, url, START_IMPORT, wanted, token)
            batch = started["startImport"]["batchId"]
            bodies.append(
                _Body(
                    token,
                    tuple(
                        json.dumps(
                            {
                                "query": UPLOAD_CHUNK,
                                "variables": {"batch": batch, "index": index, "digest": digest, "samples": text},
                            }
                        ).encode()
                        for index in range(load.requests)
                    ),
                )
            )
    return tuple(bodies)


def _ask(
    http: httpx.Client, url: str, query: str, variables: Mapping[str, object], token: str | None = None
) -> dict[str, dict[str, str]]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = http.post(url, json={"query": query, "variables": variables}, headers=headers)
    answer.raise_for_status()
    data: dict[str, dict[str, str]] = answer.json()["data"]
    return data


def _p95(url: str, bodies: tuple[_Body, ...], load: Load) -> float:
    """p95 of all clients' requests in seconds. Raises: httpx.HTTPError when one is not answered with 200."""
    took_s: list[float] = []
    errors: list[httpx.HTTPError] = []

    def run(body: _Body) -> None:
        headers = {"Authorization": f"Bearer {body.token}", "Content-Type": "application/json"}
        try:
            with httpx.Client(timeout=REQUEST_TIMEOUT_S) as http:
                for content in body.requests:
                    begun = time.perf_counter()
                    http.post(url, content=content, headers=headers).raise_for_status()
                    took_s.append(time.perf_counter() - begun)
        except httpx.HTTPError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return percentile(took_s, 0.95)
