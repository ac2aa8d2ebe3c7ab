"""Starts like a keeper, and never comes up; told to end, it says so and undoes what it started."""

from __future__ import annotations

import sys

from harness.clock import pause
from harness.interrupt import interruptible

FOREVER_S = 120.0

if __name__ == "__main__":
    with interruptible():
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        try:
            pause(FOREVER_S)
        except KeyboardInterrupt:
            sys.stdout.write("undone\n")
