"""The watch: reads the stack all the time while a scenario runs, for the timeline and for what only shows in passing.

One line of `watch.jsonl` per interval. Each source is read in a thread of its own, so that a store that hangs silences
itself only; what is older than `STALE_S` is left out. An anchor seen ahead of committed data, even once, is kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import orjson
import psycopg
import redis

from harness.clock import utc_now
from harness.devices.balancer import HEALTH_PATH
from harness.errors import LabError
from harness.evidence.broker_view import connect, depths
from harness.evidence.metrics_page import figures
from harness.ledger import Tally
from harness.tls import trusted

WATCH_FILE = "watch.jsonl"
STALE_S = 1.5
ALARM_METRICS = ("app_problems", "app_publish_failures_total", "app_claims_lost_total")
"""The metrics with which the app tells that something is wrong: what is now, by code, and counts of what went wrong."""
_ERRORS = (psycopg.Error, redis.RedisError, httpx.HTTPError, OSError, ValueError, LabError)
_CHUNKS = "SELECT status, count(*), coalesce(sum(imported_count), 0) FROM healthkit_import_chunk GROUP BY status"
_BATCHES = "SELECT status, count(*) FROM healthkit_import_batch GROUP BY status"
_CONNECTIONS = """
SELECT split_part(application_name, ':', 1), count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND application_name <> 'chaoslab' GROUP BY 1
"""
# One statement, one snapshot: what an anchor promises against what is committed at the same moment.
_AHEAD = """
SELECT a.device_id, a.type_identifier, a.batch_id::text, coalesce(b.status, 'no such batch') || ', ' || (
           SELECT count(*) FROM healthkit_import_chunk c WHERE c.batch_id = b.id AND c.status = 'PENDING') || ' PENDING'
FROM healthkit_anchor a LEFT JOIN healthkit_import_batch b ON b.id = a.batch_id
WHERE b.id IS NULL OR b.status NOT IN ('COMPLETED', 'FAILED') OR EXISTS (
    SELECT 1 FROM healthkit_import_chunk c WHERE c.batch_id = b.id AND c.status = 'PENDING') LIMIT 20
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """Where to look. `states` and `tally` are asked each time; either may be left out."""

    dsn: str
    redis_url: str
    api_urls: Callable[[], Mapping[str, str]]
    states: Callable[[], Mapping[str, str]] = dict
    tally: Callable[[], Tally] = Tally


class OnReading(Protocol):
    """Whoever wants to hear of the broker and the truth as soon as they are read; called by the watch's own thread."""

    def __call__(self, *, queue_depth: int, unacked: int, acknowledged: int, present: int) -> None:
        """Messages that wait, messages handed to workers, samples acknowledged to phones, samples imported."""


class Sampler:
    """Reads one source again and again in a thread; keeps the latest reading, or the error, and when it was.

    The time is part of the reading (`<name>_at`), since the same reading may be written more than once.
    """

    def __init__(self, name: str, read: Callable[[], Mapping[str, Any]], *, interval_s: float) -> None:
        self._name = name
        self._read = read
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._latest: tuple[float, Mapping[str, Any]] = (0.0, {})
        self._thread = threading.Thread(target=self._run, name=f"watch-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Tell it to end; a read that hangs is left to its daemon thread."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    def latest(self) -> Mapping[str, Any]:
        """The latest reading; empty when it is stale."""
        at, reading = self._latest
        return reading if time.monotonic() - at <= STALE_S else {}

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                reading = {**self._read(), f"{self._name}_at": utc_now().isoformat()}
            except _ERRORS as error:
                # What cannot be read is a reading, too: the timeline shows the gap and why.
                reading = {f"{self._name}_error": type(error).__name__, f"{self._name}_at": utc_now().isoformat()}
            self._latest = (time.monotonic(), reading)
            self._stop.wait(self._interval_s)


class Watch:
    """Writes the timeline of one scenario. `start` … `stop`; the file is complete after `stop`.

    `written` is the reading that was written last.
    """

    def __init__(
        self, watched: Watched, directory: Path, *, on_reading: OnReading | None = None, interval_s: float = 0.25
    ) -> None:
        self._watched = watched
        self._on_reading = on_reading
        self._path = directory / WATCH_FILE
        self._interval_s = interval_s
        self.written: Mapping[str, Any] = {}
        self._stop = threading.Event()
        self._ahead_lock = threading.Lock()
        self._ahead: list[dict[str, str]] = []
        self._session: psycopg.Connection[tuple[Any, ...]] | None = None
        self._broker = connect(watched.redis_url, timeout_s=1.0)
        self._http = httpx.Client(timeout=httpx.Timeout(2.0, connect=1.0), verify=trusted())
        self._samplers = (
            Sampler("postgres", self._read_postgres, interval_s=interval_s / 2),
            Sampler("redis", self._read_redis, interval_s=interval_s),
            Sampler("imports", self._read_imports, interval_s=interval_s * 2),
            Sampler("ready", self._read_ready, interval_s=interval_s * 2),
            Sampler("metrics", self._read_metrics, interval_s=interval_s * 4),
            Sampler("states", lambda: {"states": dict(watched.states())}, interval_s=interval_s * 2),
        )
        self._thread = threading.Thread(target=self._write, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to read and write."""
        for sampler in self._samplers:
            sampler.start()
        self._thread.start()

    def stop(self) -> None:
        """End; returns within about three seconds even when a store hangs. Idempotent."""
        self._stop.set()
        for sampler in self._samplers:
            sampler.stop()
        if self._thread.is_alive():
            self._thread.join(2.0)
        for sampler in self._samplers:
            sampler.join(0.5)
        self._http.close()
        self._broker.close()
        if self._session is not None:
            self._session.close()

    def _write(self) -> None:
        with self._path.open("ab") as file:
            while True:
                is_last = self._stop.wait(self._interval_s)
                reading = self._reading()
                file.write(orjson.dumps(reading) + b"\n")
                file.flush()
                self.written = reading
                self._tell(reading)
                if is_last:
                    return

    def _tell(self, reading: Mapping[str, Any]) -> None:
        """Nothing while one of the stores cannot be read: figures of before would look like figures of now."""
        if self._on_reading is not None and {"queues", "unacked", "present"} <= reading.keys():
            self._on_reading(
                queue_depth=sum(reading["queues"].values()),
                unacked=reading["unacked"],
                acknowledged=reading["acknowledged"],
                present=reading["present"],
            )

    def _reading(self) -> dict[str, Any]:
        tally = self._watched.tally()
        reading: dict[str, Any] = {"at": utc_now().isoformat(), "acknowledged": tally.acknowledged_samples}
        for sampler in self._samplers:
            reading |= sampler.latest()
        with self._ahead_lock:
            ahead, self._ahead = self._ahead, []
        return {**reading, "anchors_ahead": ahead} if ahead else reading

    def _read_postgres(self) -> Mapping[str, Any]:
        if self._session is None or self._session.closed:
            self._session = psycopg.connect(
                self._watched.dsn, autocommit=True, connect_timeout=2, application_name="chaoslab"
            )
        session = self._session
        try:
            chunks = session.execute(_CHUNKS).fetchall()
            batches = session.execute(_BATCHES).fetchall()
            connections = session.execute(_CONNECTIONS).fetchall()
            ahead = session.execute(_AHEAD).fetchall()
        except psycopg.Error:
            session.close()
            raise
        if ahead:
            with self._ahead_lock:
                self._ahead += [
                    {"device_id": str(device), "type": str(type_), "batch": str(batch), "why": str(why)}
                    for device, type_, batch, why in ahead
                ]
        return {
            "chunks": {status: count for status, count, _ in chunks},
            "present": int(sum(imported for _, _, imported in chunks)),
            "batches": dict(batches),
            "connections": dict(connections),
        }

    def _read_redis(self) -> Mapping[str, Any]:
        queues, unacked = depths(self._broker)
        return {"queues": queues, "unacked": unacked}

    def _read_imports(self) -> Mapping[str, Any]:
        imports: dict[str, Any] = {}
        for replica, url in self._watched.api_urls().items():
            asked = utc_now().isoformat()
            try:
                answer = self._http.get(f"{url.rstrip('/')}/health/imports")
                body = answer.json()
                problems = body.get("problems", []) if isinstance(body, dict) else []
                answered = utc_now().isoformat()
                imports[replica] = {
                    "status": answer.status_code, "problems": problems, "asked": asked, "answered": answered
                }  # fmt: skip
            except (httpx.HTTPError, ValueError) as error:
                imports[replica] = {"status": None, "problems": [], "error": type(error).__name__}
        return {"imports": imports}

    def _read_ready(self) -> Mapping[str, Any]:
        """What a load balancer is told of each api replica; one that does not answer is left out."""
        ready: dict[str, Any] = {}
        for replica, url in self._watched.api_urls().items():
            asked = utc_now().isoformat()
            with suppress(httpx.HTTPError):
                status = self._http.get(f"{url.rstrip('/')}{HEALTH_PATH}").status_code
                ready[replica] = {"status": status, "asked": asked, "answered": utc_now().isoformat()}
        return {"ready": ready}

    def _read_metrics(self) -> Mapping[str, Any]:
        """The alarms among the metrics, each as the replica tells it that tells most: `name{label}` to value."""
        highest: dict[str, float] = {}
        for url in self._watched.api_urls().values():
            # One that gives no answer is named by the reading of /health/imports.
            with suppress(httpx.HTTPError):
                for figure in figures(self._http.get(f"{url.rstrip('/')}/metrics").raise_for_status().text):
                    if figure.name in ALARM_METRICS:
                        name = f"{figure.name}{{{figure.label}}}" if figure.label else figure.name
                        highest[name] = max(figure.value, highest.get(name, 0.0))
        return {"metrics": highest}
