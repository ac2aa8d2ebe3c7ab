"""Witnesses: evidence from outside the app that something happened.

`Monitor` listens to every command that Redis is given. `claim_history` reads what chunk rows keep of their holders. A
witness that saw nothing makes a run INCONCLUSIVE, never a pass.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from harness.clock import pause, utc_now
from harness.errors import LabError

KEPT: Final = frozenset({"LPUSH", "RPUSH", "BRPOP", "RPOPLPUSH", "HSET", "HDEL", "ZADD", "ZREM", "FLUSHALL", "FLUSHDB"})
RECONNECT_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Published:
    """One message that Redis was given. `at` is aware UTC, ISO 8601; `headers` are the message's own."""

    at: str
    queue: str
    task: str
    message_id: str
    headers: dict[str, str]
    redelivered: bool


class Monitor:
    """MONITOR of one Redis, kept over restarts of it; what it saw is also written to `monitor.jsonl`.

    Bypasses the links. Between losing Redis and having it back it sees nothing; no other client does either.
    """

    def __init__(self, redis_url: str, path: Path) -> None:
        """Starts listening; returns when Redis confirmed it. Raises: LabError when it does not within 5 s."""
        self._url = urlsplit(redis_url)
        self._path = path
        self._lock = threading.Lock()
        self._published: list[Published] = []
        self._counts: dict[str, int] = {}
        self._ended = threading.Event()
        self._listening = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._listen, name="monitor", daemon=True)
        self._thread.start()
        if not self._listening.wait(5.0):
            self.close()
            raise LabError("Redis did not answer MONITOR within 5 s")

    def published(self, *, task: str | None = None, since: str = "") -> tuple[Published, ...]:
        """Messages seen, oldest first; `since` is an ISO 8601 UTC stamp."""
        with self._lock:
            return tuple(p for p in self._published if (task is None or p.task == task) and p.at >= since)

    def counts(self) -> dict[str, int]:
        """How often each kept command was seen."""
        with self._lock:
            return dict(self._counts)

    def close(self) -> None:
        """Stop listening. Idempotent."""
        self._ended.set()
        if self._socket is not None:
            with suppress(OSError):  # it may have ended by itself
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5.0)

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                for line in self._lines():
                    self._take(line)
            except OSError:
                pause(RECONNECT_S)

    def _lines(self) -> Iterator[bytes]:
        with socket.create_connection((self._url.hostname or "127.0.0.1", self._url.port or 6379), 2.0) as connection:
            self._socket = connection
            if self._url.password:
                connection.sendall(_command("AUTH", self._url.password))
            connection.sendall(_command("MONITOR"))
            connection.settimeout(None)
            buffer = bytearray()
            while chunk := connection.recv(1 << 16):
                self._listening.set()
                buffer += chunk
                *lines, rest = buffer.split(b"\r\n")
                buffer = bytearray(rest)
                yield from (bytes(line) for line in lines)

    def _take(self, line: bytes) -> None:
        words = _words(line)
        if not words or words[0].upper() not in KEPT:
            return
        command = words[0].upper()
        with self._lock:
            self._counts[command] = self._counts.get(command, 0) + 1
            if command in ("LPUSH", "RPUSH") and len(words) > 2:
                message = message_of(words[1], words[2])
                if message is not None:
                    self._published.append(message)
                    with self._path.open("a") as file:
                        file.write(
                            json.dumps(
                                {
                                    "at": message.at,
                                    "queue": message.queue,
                                    "task": message.task,
                                    "id": message.message_id,
                                    "headers": message.headers,
                                    "redelivered": message.redelivered,
                                }
                            )
                            + "\n"
                        )


def claim_history(dsn: str, *, batch_id: str, chunk_index: int) -> dict[str, str]:
    """What the rows say about who held a chunk, how often it ran and how it was interrupted."""
    with psycopg.connect(dsn, autocommit=True, row_factory=dict_row, application_name="chaoslab") as session:
        found = session.execute(
            "select status, claimed_by, executions, interruptions, infra_attempts, data_attempts, dispatch_count, "
            "finished_at from healthkit_import_chunk where batch_id = %s and chunk_index = %s",
            (batch_id, chunk_index),
        ).fetchone()
    return {name: str(value) for name, value in found.items()} if found else {}


def _command(*words: str) -> bytes:
    parts = [f"*{len(words)}\r\n", *(f"${len(word.encode())}\r\n{word}\r\n" for word in words)]
    return "".join(parts).encode()


def _words(line: bytes) -> list[str]:
    """The words of a MONITOR line: `+1700000000.1 [0 127.0.0.1:1] "LPUSH" "default" "…"`; empty for any other line."""
    start = line.find(b'] "')
    if start < 0:
        return []
    words: list[str] = []
    word = bytearray()
    inside = escaped = False
    for byte in line[start + 2 :]:
        if escaped:
            word.append(byte)
            escaped = False
        elif byte == 0x5C:
            escaped = True
        elif byte == 0x22:
            if inside:
                words.append(word.decode("utf-8", "replace"))
                word = bytearray()
            inside = not inside
        elif inside:
            word.append(byte)
    return words


def message_of(queue: str, text: str) -> Published | None:
    """The message in a raw text as kombu pushes it; None when it is none."""
    try:
        message = json.loads(text)
        headers = message["headers"]
        return Published(
            at=utc_now().isoformat(),
            queue=queue,
            task=str(headers["task"]),
            message_id=str(headers["id"]),
            headers={str(k): str(v) for k, v in headers.items() if isinstance(v, str | int | float)},
            redelivered=bool(message.get("properties", {}).get("delivery_info", {}).get("redelivered")),
        )
    except (ValueError, KeyError, TypeError):
        return None
