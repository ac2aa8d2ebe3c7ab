"""A harness that will be killed: starts what its argument names, says so, and waits for its end."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg

from harness.clock import pause
from harness.drivers.process.embedded import running_postgres, running_redis
from harness.drivers.processes import ProcessesStack
from harness.drivers.protocol import StackSpec
from harness.load.locust_processes import LocustProcesses
from harness.load.order import LoadOrder
from harness.load.shapes import LoadShape

FOREVER_S = 120.0


def locust_on(directory: Path) -> LocustProcesses:
    """A master and two workers that load nobody."""
    order = LoadOrder(
        seed=7,
        shape=LoadShape.STEADY,
        rate_per_s=1.0,
        users=None,
        run_time_s=FOREVER_S,
        samples_per_phone=600,
        targets={"nobody": "http://127.0.0.1:9"},
        directory=str(directory / "processes"),
        processes=2,
    )
    return LocustProcesses(order=order, directory=directory / "locust")


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
            case "locust":
                locust = locust_on(Path(tempfile.mkdtemp()))
                started.callback(locust.stop)
                locust.start()
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
