"""Faults of the Postgres server: killed, so that it has to recover from its log, and frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, LiteralString

import psycopg

from harness.drivers.protocol import Stack, State
from harness.faults.process import FreezeReplica, described, start_again

PROBE_TIMEOUT_S: Final = 2
"""When no answer counts as none. One that merely came late before the harm is asked for again (`is_well`)."""
ANSWERS: Final = "; answers"
_INCARNATION: LiteralString = "SELECT pg_postmaster_start_time()::text"


def incarnation(stack: Stack) -> str:
    """Which incarnation of Postgres answers a new session that bypasses the links; bounded in time."""
    try:
        with psycopg.connect(
            stack.dsn(),
            autocommit=True,
            application_name="chaoslab",
            connect_timeout=PROBE_TIMEOUT_S,
            options=f"-c statement_timeout={PROBE_TIMEOUT_S * 1000}",
        ) as session:
            ((started,),) = session.execute(_INCARNATION).fetchall()
    except psycopg.Error as error:
        return f"no answer ({type(error).__name__})"
    return f"answers, started at {started}"


@dataclass(frozen=True, slots=True)
class KillPostgres:
    """SIGKILL to Postgres and all its backends. Heals by starting it on the data it left: crash recovery.

    Blast radius: every session and open transaction of everybody, the lab's own tripwires among them. What was
    committed is in the log and comes back; nothing else does.
    """

    target: str = "postgres"
    source: str = "process table, and a query past the links"
    bite_timeout_s: float = 5.0
    name: str = "kill_postgres"
    is_severing: bool = True

    def look(self, stack: Stack) -> str:
        """Process and incarnation."""
        return f"{described(stack, self.target)}; {incarnation(stack)}"

    def inject(self, stack: Stack) -> None:
        """Kill."""
        stack.kill_replica(self.target)

    def is_well(self, reading: str) -> bool:
        """It answers."""
        return ANSWERS in reading

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Answered before, is down and silent now."""
        return self.is_well(before) and now.startswith("down") and "; no answer" in now

    def heal(self, stack: Stack) -> None:
        """Start it again."""
        start_again(stack, self.target)

    def is_whole(self, stack: Stack) -> bool:
        """It answers."""
        return stack.state(self.target) is State.HEALTHY


@dataclass(frozen=True, slots=True)
class FreezePostgres:
    """SIGSTOP to Postgres and all its backends: connections stay open and are accepted, nothing answers.

    Blast radius: whoever waits for an answer without a bound of his own, since the server's timeouts do not run. Heals
    by SIGCONT; what was sent meanwhile is done then, also for clients that have given up.
    """

    target: str = "postgres"
    source: str = "process states, and a query past the links"
    bite_timeout_s: float = 5.0
    name: str = "freeze_postgres"

    def look(self, stack: Stack) -> str:
        """States of its processes, and whether it answers."""
        return f"{FreezeReplica(self.target).look(stack)}; {incarnation(stack)}"

    def inject(self, stack: Stack) -> None:
        """Stop them all."""
        stack.freeze(self.target)

    def is_well(self, reading: str) -> bool:
        """It answers."""
        return ANSWERS in reading

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Answered before, and does not now that its processes are stopped."""
        return self.is_well(before) and "; no answer" in now and not now.startswith("0 of")

    def heal(self, stack: Stack) -> None:
        """Let them go on."""
        stack.thaw(self.target)

    def is_whole(self, stack: Stack) -> bool:
        """It answers."""
        return stack.state(self.target) is State.HEALTHY
