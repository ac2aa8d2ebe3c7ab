"""A harness that will be killed: starts what its argument names, says so, and waits for its end."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg

from harness.clock import pause
from harness.drivers.embedded import running_postgres, running_redis
from harness.drivers.processes import ProcessesStack
from harness.drivers.protocol import StackSpec

FOREVER_S = 120.0


def main(phase: str) -> None:
    """Run up to `phase`; a stack announces itself and goes on starting until it is killed."""
    with ExitStack() as started:
        match phase:
            case "redis":
                started.enter_context(running_redis())
            case "frozen-postgres":
                postgres = started.enter_context(running_postgres())
                started.enter_context(psycopg.connect(postgres.dsn()))
                postgres.group.freeze()
            case "stack":
                stack = ProcessesStack(StackSpec(), directory=Path(tempfile.mkdtemp()), name=sys.argv[2])
                started.callback(stack.down)
                print(phase, flush=True)
                stack.start()
            case _:
                raise SystemExit(f"unknown phase {phase!r}")
        print(phase, flush=True)
        pause(FOREVER_S)


if __name__ == "__main__":
    main(sys.argv[1])
