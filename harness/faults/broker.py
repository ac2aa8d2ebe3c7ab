"""Faults of the broker: killed with or without its data, frozen, flushed, full."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import redis

from harness.drivers.protocol import Stack, State
from harness.errors import LabError
from harness.faults.process import FreezeReplica, described, start_again

PROBE_TIMEOUT_S: Final = 0.5
"""When no answer counts as none. One that merely came late before the harm is asked for again (`is_well`)."""
TIMEOUT_S: Final = 5.0
PROBE: Final = "chaoslab:probe"
SAFE_POLICY: Final = "noeviction"
FULL: Final = "1"
"""A limit of one byte: whatever Redis holds, it holds too much."""


def ping(stack: Stack) -> str:
    """What Redis says to PING on a new connection that bypasses the links."""
    try:
        with _client(stack, timeout_s=PROBE_TIMEOUT_S) as client:
            return "PONG" if client.ping() else "no PONG"
    except redis.RedisError as error:
        return f"no answer ({type(error).__name__})"


def run_id(stack: Stack) -> str:
    """Which incarnation of Redis answers, and how many keys it holds."""
    try:
        with _client(stack, timeout_s=PROBE_TIMEOUT_S) as client:
            return f"incarnation {client.info('server')['run_id'][:8]}, {client.dbsize()} keys"
    except redis.RedisError as error:
        return f"no answer ({type(error).__name__})"


@dataclass(frozen=True, slots=True)
class KillRedis:
    """SIGKILL to Redis. Heals by starting it from its append-only file, or empty when `fresh`.

    Blast radius: every queue, every unacked message, cache and locks; with `fresh` they are gone for good.
    """

    fresh: bool = False
    target: str = "redis"
    source: str = "process table, and PING past the links"
    bite_timeout_s: float = 5.0

    @property
    def name(self) -> str:
        """`kill_redis` or `lose_redis`."""
        return "lose_redis" if self.fresh else "kill_redis"

    def look(self, stack: Stack) -> str:
        """Process and incarnation."""
        return f"{described(stack, self.target)}; {run_id(stack)}"

    def inject(self, stack: Stack) -> None:
        """Kill."""
        stack.kill_replica(self.target)

    def is_well(self, reading: str) -> bool:
        """It answers."""
        return "incarnation" in reading

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Answered before, is down and silent now."""
        return self.is_well(before) and now.startswith("down") and "no answer" in now

    def heal(self, stack: Stack) -> None:
        """Start it again."""
        start_again(stack, self.target, fresh=self.fresh)

    def is_whole(self, stack: Stack) -> bool:
        """It answers."""
        return stack.state(self.target) is State.HEALTHY


@dataclass(frozen=True, slots=True)
class FreezeRedis:
    """SIGSTOP to Redis: connections stay open, nothing answers. Heals by SIGCONT; what was sent is done then."""

    target: str = "redis"
    source: str = "process states, and PING past the links"
    bite_timeout_s: float = 5.0
    name: str = "freeze_redis"

    def look(self, stack: Stack) -> str:
        """States of its processes, and whether it answers."""
        return f"{FreezeReplica(self.target).look(stack)}; PING: {ping(stack)}"

    def inject(self, stack: Stack) -> None:
        """Stop it."""
        stack.freeze(self.target)

    def is_well(self, reading: str) -> bool:
        """It answers."""
        return reading.endswith("PONG")

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Answered before, and does not now."""
        return self.is_well(before) and "no answer" in now and not now.startswith("0 of")

    def heal(self, stack: Stack) -> None:
        """Let it go on."""
        stack.thaw(self.target)

    def is_whole(self, stack: Stack) -> bool:
        """It answers."""
        return ping(stack) == "PONG"


@dataclass(frozen=True, slots=True)
class FlushRedis:
    """FLUSHALL, as somebody clearing the cache. Nothing heals it: the data is gone."""

    target: str = "redis"
    source: str = "DBSIZE past the links"
    bite_timeout_s: float = 2.0
    name: str = "flush_redis"

    def look(self, stack: Stack) -> str:
        """How many keys there are, and how often FLUSHALL was called."""
        with _client(stack) as client:
            calls = client.info("commandstats").get("cmdstat_flushall", {}).get("calls", 0)
            return f"{client.dbsize()} keys, FLUSHALL called {calls} times"

    def inject(self, stack: Stack) -> None:
        """Flush."""
        with _client(stack) as client:
            client.flushall()

    def has_bitten(self, *, before: str, now: str) -> bool:
        """One more call than before."""
        return before.rpartition("called ")[2] != now.rpartition("called ")[2]

    def heal(self, stack: Stack) -> None:
        """Nothing to undo; the system heals itself or does not."""

    def is_whole(self, stack: Stack) -> bool:
        """It answers."""
        return ping(stack) == "PONG"


@dataclass(slots=True)
class FillRedis:
    """A memory limit below what is used, under noeviction: reads, pops and deletions go on, writes are refused.

    Blast radius: publishing, the notes of messages in work, counters, locks, codes. Heals by setting the old limit.
    """

    target: str = "redis"
    source: str = "CONFIG GET maxmemory, and a write of the lab's own, past the links"
    bite_timeout_s: float = 2.0
    name: str = "fill_redis"
    _limit: str | None = field(default=None, repr=False)

    def look(self, stack: Stack) -> str:
        """The limit, and whether a write is taken."""
        with _client(stack) as client:
            limit = client.config_get("maxmemory")["maxmemory"]
            try:
                client.set(PROBE, "1")
                client.delete(PROBE)
            except redis.OutOfMemoryError as error:
                return f"limit {limit} bytes; a write is refused ({error})"
        return f"limit {limit} bytes; a write is taken"

    def inject(self, stack: Stack) -> None:
        """Lower the limit. Raises: LabError where that would evict rather than refuse."""
        with _client(stack) as client:
            policy = client.config_get("maxmemory-policy")["maxmemory-policy"]
            if policy != SAFE_POLICY:
                raise LabError(f"a full Redis would evict: maxmemory-policy is {policy}, expected {SAFE_POLICY}")
            self._limit = client.config_get("maxmemory")["maxmemory"]
            client.config_set("maxmemory", FULL)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Taken before, refused now."""
        return before.endswith("is taken") and "is refused" in now

    def heal(self, stack: Stack) -> None:
        """The limit of before."""
        if self._limit is not None:
            with _client(stack) as client:
                client.config_set("maxmemory", self._limit)

    def is_whole(self, stack: Stack) -> bool:
        """A write is taken."""
        return self.look(stack).endswith("is taken")


def _client(stack: Stack, *, timeout_s: float = TIMEOUT_S) -> Any:
    return redis.Redis.from_url(
        stack.redis_url(), socket_timeout=timeout_s, socket_connect_timeout=timeout_s, decode_responses=True
    )
