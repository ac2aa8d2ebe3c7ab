"""A message of a task that no worker knows: another version has sent it, before this one is deployed everywhere."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import orjson

from harness.drivers.protocol import Stack
from harness.evidence.broker_view import connect
from harness.lab_session import lab_session

QUEUE: Final = "default"
ARGUMENTS: Final = (["one", 2], {"three": None})


@dataclass(frozen=True, slots=True)
class PublishUnknown:
    """One message of a task of no worker, in the queue of imports.

    Symptom: a dead letter. Nobody can run it, so its heal is the operator's who lets it be: letters of that task are
    noted as dealt with, and what still waits in the queue is taken out.
    """

    task: str = "chaoslab.of_another_version"
    message_id: str = field(default_factory=lambda: str(uuid4()))
    target: str = "redis"
    source: str = "dead letters of that task, read past the links"
    bite_timeout_s: float = 20.0
    name: str = "publish_unknown"

    def look(self, stack: Stack) -> str:
        """How many dead letters of the task there are, and how many of those are open."""
        with lab_session(stack.dsn()) as session:
            [(letters, is_open)] = session.execute(
                "SELECT count(*), count(*) FILTER (WHERE redriven_at IS NULL) FROM healthkit_dead_letter "
                "WHERE task_name = %s",
                (self.task,),
            ).fetchall()
        return f"{letters} dead letters of {self.task}, {is_open} open"

    def inject(self, stack: Stack) -> None:
        """Push it as a client does."""
        with connect(stack.redis_url()) as client:
            client.lpush(QUEUE, self._message())

    def has_bitten(self, *, before: str, now: str) -> bool:
        """One more than before."""
        return int(now.split(" ")[0]) > int(before.split(" ")[0])

    def heal(self, stack: Stack) -> None:
        """Let it be."""
        with connect(stack.redis_url()) as client:
            client.lrem(QUEUE, 0, self._message().decode())
        with lab_session(stack.dsn()) as session:
            session.execute(
                "UPDATE healthkit_dead_letter SET redriven_at = clock_timestamp() "
                "WHERE task_name = %s AND redriven_at IS NULL",
                (self.task,),
            )

    def is_whole(self, stack: Stack) -> bool:
        """None is open."""
        return self.look(stack).endswith(" 0 open")

    def _message(self) -> bytes:
        """As kombu writes it."""
        body = orjson.dumps([*ARGUMENTS, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
        return orjson.dumps(
            {
                "body": base64.b64encode(body).decode(),
                "content-encoding": "utf-8",
                "content-type": "application/json",
                "headers": {"lang": "py", "task": self.task, "id": self.message_id, "root_id": self.message_id},
                "properties": {
                    "correlation_id": self.message_id,
                    "delivery_mode": 2,
                    "delivery_info": {"exchange": "", "routing_key": QUEUE},
                    "priority": 0,
                    "body_encoding": "base64",
                    "delivery_tag": self.message_id,
                },
            }
        )
