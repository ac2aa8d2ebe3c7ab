"""A message that is delivered again while its first delivery is still in work: brokers promise *at least once*.

It happens when a visibility timeout is too short, when unacked messages are restored, when something publishes twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import redis

from harness.clock import wait_for
from harness.drivers.protocol import Stack
from harness.errors import Inconclusive, WaitTimeout
from harness.evidence.broker_view import connect
from harness.witness import message_of

QUEUE: Final = "default"
REMINDERS: Final = "high"
UNACKED: Final = "unacked"


@dataclass(slots=True)
class RedeliverMessage:
    """Puts copies of one unacked message into its queue, all at once: same headers, same body, tags of their own.

    Blast radius: that task, which as many workers get while the first one still runs it. Heals by taking back copies
    that nobody has popped; what was delivered cannot be undone.
    """

    batch: str
    chunk: int
    copies: int = 4
    target: str = "redis"
    source: str = "LRANGE of the queue and HGETALL unacked, read in one transaction past the links"
    bite_timeout_s: float = 2.0
    name: str = "redeliver_message"
    _first: str = field(default="", repr=False)
    _tags: frozenset[str] = field(default=frozenset(), repr=False)

    def look(self, stack: Stack) -> str:
        """Where the first delivery and the copies are. Those that are in neither place were delivered and acked."""
        with connect(stack.redis_url()) as client:
            queued, unacked = _places(client)
        first = self._first or next(iter(self._tags_in(unacked)), "")
        where = "unacked" if first in unacked else "not unacked"
        waiting, at_work = self._tags & queued.keys(), self._tags & unacked.keys()
        acked = len(self._tags) - len(waiting) - len(at_work)
        return (
            f"chunk {self.chunk} of {self.batch}: first delivery {where}; {len(self._tags)} copies: "
            f"{len(waiting)} queued, {len(at_work)} delivered, {acked} delivered and acked"
        )

    def inject(self, stack: Stack) -> None:
        """Copy. Raises: Inconclusive when no such message is in work."""
        with connect(stack.redis_url()) as client:
            _, unacked = _places(client)
            found = self._tags_in(unacked)
            if not found:
                raise Inconclusive(
                    f"no unacked message of chunk {self.chunk} of {self.batch}: nothing to deliver again"
                )
            self._first = found[0]
            copies = [_copy(unacked[self._first], tag=f"{self._first}-{n}") for n in range(1, self.copies + 1)]
            self._tags = frozenset(_tag(each) for each in copies)
            client.rpush(QUEUE, *copies)  # the end that workers pop: no backlog before them

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Every copy is with a worker or was, and the first delivery is not acked: somebody still works on it."""
        return before != now and "first delivery unacked" in now and f"; {self.copies} copies: 0 queued" in now

    def are_all_acked(self, reading: str) -> bool:
        """Whether every copy was dealt with while the first delivery still was not."""
        return "first delivery unacked" in reading and reading.endswith(f" {self.copies} delivered and acked")

    def heal(self, stack: Stack) -> None:
        """Take back what nobody popped."""
        with connect(stack.redis_url()) as client:
            queued, _ = _places(client)
            for tag in self._tags & queued.keys():
                client.lrem(QUEUE, 0, queued[tag].decode())

    def is_whole(self, stack: Stack) -> bool:
        """No copy waits."""
        with connect(stack.redis_url()) as client:
            queued, _ = _places(client)
        return not self._tags & queued.keys()

    def _tags_in(self, unacked: dict[str, bytes]) -> list[str]:
        return [
            tag
            for tag, raw in unacked.items()
            if (message := message_of(QUEUE, raw.decode())) is not None
            and message.headers.get("batch") == self.batch
            and message.headers.get("chunk") == str(self.chunk)
        ]


@dataclass(slots=True)
class RedeliverReminder:
    """Puts copies of one unacked message of a reminder into its queue while the first delivery is being sent.

    Blast radius: that reminder, which another worker gets as well. Heals by taking back copies that nobody has popped.
    `patience_s` is how long it may take until a reminder is being sent.
    """

    patience_s: float

    copies: int = 2
    target: str = "redis"
    source: str = "LRANGE of the queue and HGETALL unacked, read in one transaction past the links"
    bite_timeout_s: float = 2.0
    name: str = "redeliver_reminder"
    delivery: str = ""
    _first: str = field(default="", repr=False)
    _tags: frozenset[str] = field(default=frozenset(), repr=False)

    def look(self, stack: Stack) -> str:
        """Where the first delivery and the copies are. Those that are in neither place were delivered and acked."""
        with connect(stack.redis_url()) as client:
            queued, unacked = _places(client, queue=REMINDERS)
        where = "unacked" if self._first in unacked else "not unacked"
        return (
            f"delivery {self.delivery or 'none'}: first message {where}; {len(self._tags)} copies: "
            f"{len(self._tags & queued.keys())} queued"
        )

    def inject(self, stack: Stack) -> None:
        """Copy the youngest, as soon as one is being sent. Raises: Inconclusive when none is in time."""
        with connect(stack.redis_url()) as client:

            def sending() -> dict[str, bytes]:
                unacked = _places(client, queue=REMINDERS)[1]
                return unacked if _reminders(unacked) else {}

            try:
                unacked = wait_for(
                    sending, awaiting="a reminder that is being sent", timeout_s=self.patience_s, interval_s=0.02
                )
            except WaitTimeout as error:
                raise Inconclusive(str(error)) from error
            self._first, self.delivery = _reminders(unacked)[-1]
            copies = [_copy(unacked[self._first], tag=f"{self._first}-{n}") for n in range(1, self.copies + 1)]
            self._tags = frozenset(_tag(each) for each in copies)
            client.rpush(REMINDERS, *copies)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Every copy was delivered, and the first delivery is not acked: it is still being sent."""
        return before != now and "first message unacked" in now and now.endswith(f"; {self.copies} copies: 0 queued")

    def heal(self, stack: Stack) -> None:
        """Take back what nobody popped."""
        with connect(stack.redis_url()) as client:
            queued, _ = _places(client, queue=REMINDERS)
            for tag in self._tags & queued.keys():
                client.lrem(REMINDERS, 0, queued[tag].decode())

    def is_whole(self, stack: Stack) -> bool:
        """No copy waits."""
        with connect(stack.redis_url()) as client:
            queued, _ = _places(client, queue=REMINDERS)
        return not self._tags & queued.keys()


def _reminders(unacked: dict[str, bytes]) -> list[tuple[str, str]]:
    """Tag and delivery of each message of a reminder, oldest first."""
    return [
        (tag, message.headers["delivery"])
        for tag, raw in unacked.items()
        if (message := message_of(REMINDERS, raw.decode())) is not None and "delivery" in message.headers
    ]


def _places(client: redis.Redis, *, queue: str = QUEUE) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Raw messages by their delivery tag: those in the queue, those that are unacked; of one moment."""
    pipe: Any = client.pipeline(transaction=True)
    queued, entries = pipe.lrange(queue, 0, -1).hvals(UNACKED).execute()
    # An unacked entry is [message, exchange, routing key].
    unacked = [orjson.dumps(orjson.loads(entry)[0]) for entry in entries]
    return {_tag(raw): raw for raw in queued}, {_tag(raw): raw for raw in unacked}


def _tag(raw: bytes) -> str:
    return str(orjson.loads(raw)["properties"]["delivery_tag"])


def _copy(raw: bytes, *, tag: str) -> bytes:
    message = orjson.loads(raw)
    message["properties"]["delivery_tag"] = tag
    return orjson.dumps(message)
