"""A message popped by a worker and noted nowhere: the window between kombu's BRPOP and its note of it as unacked.

No version closes that window. It is made at will: while a worker waits in BRPOP, stop it; a message that is pushed now
goes to the waiting connection, so Redis no longer has it; the stopped process has not read it; then kill the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from harness.clock import wait_for
from harness.drivers.protocol import Stack, State
from harness.errors import Inconclusive, WaitTimeout
from harness.evidence.broker_view import connect
from harness.witness import message_of

QUEUE: Final = "default"
HELD: Final = "chaoslab:held"
TRIES: Final = 30
MESSAGES_TIMEOUT_S: Final = 15.0
POLL_TIMEOUT_S: Final = 5.0


@dataclass(slots=True)
class LosePoppedMessage:
    """Hands one message to a worker that stands still, and kills it.

    Nobody else may pop or publish meanwhile: the other `workers` are stopped in order (frozen ones would keep their
    locks), `beats` are frozen. Heals by starting the workers and letting beat go on; messages that were held back are
    put into their queue. `batch` and `chunk` say what the lost message was about.
    """

    target: str
    workers: Sequence[str]
    beats: Sequence[str]
    source: str = "LLEN, HVALS unacked and CLIENT LIST past the links, and the process table"
    bite_timeout_s: float = 2.0
    name: str = "lose_popped_message"
    batch: str = ""
    chunk: str = ""
    _popped: str = field(default="", repr=False)
    _tag: str = field(default="", repr=False)

    @property
    def ends(self) -> tuple[str, ...]:
        """The target, and the other workers."""
        return (self.target, *self.workers)

    def look(self, stack: Stack) -> str:
        """Where the message is: in the queue, noted as unacked, or nowhere."""
        with connect(stack.redis_url()) as client:
            if not self._popped:
                return f"{client.llen(QUEUE)} messages in {QUEUE}; {self.target} {stack.state(self.target)}"
            places = [
                place
                for place, values in (
                    (QUEUE, client.lrange(QUEUE, 0, -1)),
                    (HELD, client.lrange(HELD, 0, -1)),
                    ("unacked", client.hvals("unacked")),
                )
                if any(self._tag.encode() in value for value in values)
            ]
        where = ", ".join(places) or "nowhere in Redis"
        return f"message {self._tag} ({self._popped}): {where}; {self.target} {stack.state(self.target)}"

    def inject(self, stack: Stack) -> None:
        """Freeze, hand over, kill. Raises: Inconclusive when no message could be handed over."""
        # The victim first: from now on messages that the others give back, and new ones, stay in the queue.
        for each in (self.target, *self.beats):
            stack.freeze(each)
        for each in self.workers:
            stack.stop_replica(each)
        with connect(stack.redis_url()) as client:
            self._await(lambda: client.llen(QUEUE) > 0, "a message in the queue that nobody pops", MESSAGES_TIMEOUT_S)
            for _ in range(TRIES):
                self._await(lambda: not _is_waited_for(client), "earlier polls to run out", POLL_TIMEOUT_S)
                if self._hand_over(stack, client):
                    stack.kill_replica(self.target)
                    return
        raise Inconclusive(f"no message could be handed to a standing worker in {TRIES} tries")

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Popped, in no list and no unacked entry, and the only process that had it is gone."""
        return before != now and "nowhere in Redis" in now and now.endswith(State.DOWN.value)

    def heal(self, stack: Stack) -> None:
        """Give back what was held, start the worker, let the others go on."""
        with connect(stack.redis_url()) as client:
            while client.lmove(HELD, QUEUE, "LEFT", "RIGHT") is not None:
                pass
        for each in (*self.beats, self.target):
            if stack.processes(each):
                stack.thaw(each)
        for each in (*self.workers, self.target):
            if not stack.processes(each):
                stack.start_replica(each)

    def is_whole(self, stack: Stack) -> bool:
        """All healthy."""
        return all(stack.state(each) is State.HEALTHY for each in (self.target, *self.workers, *self.beats))

    def _hand_over(self, stack: Stack, client: Any) -> bool:
        """One try: let the worker reach its poll, stop it there, push. False when the poll had run out by then."""

        def polls() -> bool:
            # Phones and the worker's own sweeper go on publishing, and a worker that finds messages never waits.
            _hold_back(client)
            return _is_waited_for(client)

        _hold_back(client)
        stack.thaw(self.target)
        try:
            self._await(polls, f"{self.target} to poll", POLL_TIMEOUT_S)
        finally:
            stack.freeze(self.target)
        candidate = client.lindex(HELD, -1)
        message = message_of(QUEUE, candidate.decode()) if candidate is not None else None
        if message is None or not _is_waited_for(client):
            return False
        client.lmove(HELD, QUEUE, "RIGHT", "RIGHT")
        if client.llen(QUEUE):
            return False
        self._tag = message.message_id
        self.batch, self.chunk = message.headers.get("batch", ""), message.headers.get("chunk", "")
        self._popped = f"{message.task} of batch {self.batch}, chunk {self.chunk or '-'}"
        return True

    def _await(self, probe: Any, awaiting: str, timeout_s: float) -> None:
        try:
            wait_for(probe, awaiting=awaiting, timeout_s=timeout_s, interval_s=0.002)
        except WaitTimeout as error:
            raise Inconclusive(str(error)) from error


def _hold_back(client: Any) -> None:
    """Put every message of the queue aside, in order."""
    while client.lmove(QUEUE, HELD, "RIGHT", "LEFT") is not None:
        pass


def _is_waited_for(client: Any) -> bool:
    """Whether a connection waits in BRPOP for the queue; only workers do."""
    return any(each["cmd"] == "brpop" and "b" in each["flags"] for each in client.client_list())
