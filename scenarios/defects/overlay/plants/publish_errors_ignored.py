"""`except: pass` around each publish: whatever the broker said, the message counts as sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _pass(publish: Any) -> None:
    bounded = publish.BoundedRunner.run

    def run(self: Any, call: Callable[[], object], *, bound_s: float) -> None:
        try:
            bounded(self, call, bound_s=bound_s)
        except publish.PublishFailed:
            return

    publish.BoundedRunner.run = run


PATCHES = {"backend.publish": _pass}
