"""`celery -A tests.app.worker_stopped_midwrite worker`: sends itself SIGTERM at the worst moment.

That is between the header and the body of the first job written to a pool child after the file ARMED exists. With
STOCK_HANDLERS set, Celery's own handlers stay: the worker then hangs, which is how the test was seen red.
"""

import os
import signal
from pathlib import Path
from typing import Any

from billiard.connection import Connection

from backend.stop_signal import StopSignal
from tests.app.worker_tasks import app

__all__ = ["app"]

HEADER_BYTES = 4
_send_offset = Connection.send_offset


def _send_and_stop(self: Any, buffer: Any, offset: int) -> int:
    sent: int = _send_offset(self, buffer, offset)
    armed = Path(os.environ["ARMED"])
    if len(buffer) == HEADER_BYTES and armed.exists():
        armed.unlink()
        os.kill(os.getpid(), signal.SIGTERM)
    return sent


Connection.send_offset = _send_and_stop
if os.environ.get("STOCK_HANDLERS"):
    StopSignal.install = lambda self: None  # type: ignore[method-assign]  # the defect that the test is about
