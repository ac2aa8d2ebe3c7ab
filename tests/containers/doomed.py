"""A harness that will be killed while its containers start, or run."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from harness.clock import pause
from harness.drivers.containers import ContainersStack
from harness.drivers.protocol import StackSpec

FOREVER_S = 120.0

if __name__ == "__main__":
    stack = ContainersStack(StackSpec(replicas={}), directory=Path(tempfile.mkdtemp()), name=sys.argv[1])
    try:
        stack.start()
        print("started", flush=True)
        pause(FOREVER_S)
    finally:
        stack.down()
