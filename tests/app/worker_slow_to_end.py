"""`celery -A tests.app.worker_slow_to_end worker`: tells with a mark when the interpreter tears its modules down."""

import os

from tests.app.worker_tasks import app

__all__ = ["app", "torn_down"]


class _TornDown:
    """Kept by the module until the very end; pool children leave without one."""

    def __init__(self) -> None:
        self._write, self._close = os.write, os.close
        self._marks = os.open(os.environ["MARKS"], os.O_WRONLY | os.O_APPEND)

    def __del__(self) -> None:
        self._write(self._marks, b"torn down\n")
        self._close(self._marks)


torn_down = _TornDown()
