"""Tasks for tests of the worker itself: `celery -A tests.app.worker_tasks worker`.

Marks are lines in a file, written at once: what a killed task has done can be told afterwards.
"""

import os
import time
from pathlib import Path

from backend.celery import app

__all__ = ["app", "die_once", "hold", "nap", "note", "told"]


def _mark(line: str) -> None:
    with Path(os.environ["MARKS"]).open("a") as file:
        file.write(line + "\n")


@app.task(name="tests.note")  # type: ignore[untyped-decorator]  # Celery has no types
def note(text: str) -> None:
    """Leave a mark."""
    _mark(text)


@app.task(name="tests.told")  # type: ignore[untyped-decorator]  # Celery has no types
def told(result: str) -> str:
    """End with this word."""
    return result


@app.task(name="tests.nap")  # type: ignore[untyped-decorator]  # Celery has no types
def nap(duration_s: float) -> None:
    """Take a while, with a mark at the start, the end, or the exception that cut it short."""
    _mark(f"start {os.getpid()}")
    try:
        time.sleep(duration_s)
    except BaseException as error:
        _mark(f"cut short by {type(error).__name__}")
        raise
    _mark("end")


@app.task(name="tests.hold")  # type: ignore[untyped-decorator]  # Celery has no types
def hold(path: str) -> None:
    """Run until a file of that name appears."""
    _mark(f"start {os.getpid()}")
    while not Path(path).exists():
        time.sleep(0.05)
    _mark("end")


@app.task(name="tests.die_once")  # type: ignore[untyped-decorator]  # Celery has no types
def die_once(path: str) -> None:
    """The first run takes for ever, every further one nothing: for a test that kills the first."""
    _mark(f"start {os.getpid()}")
    if not Path(path).exists():
        Path(path).touch()
        time.sleep(600)
    _mark("end")
