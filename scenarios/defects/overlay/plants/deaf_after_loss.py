"""A worker that lost the broker connects again and never consumes again: celery 5.3.6's "catatonic" worker, at will."""

from __future__ import annotations

from typing import Any


def _consume_once(loops: Any) -> None:
    asynloop = loops.asynloop
    entered: list[bool] = []

    def loop(obj: Any, connection: Any, consumer: Any, *args: Any, **kwargs: Any) -> Any:
        # Celery's loop begins by consuming; entered anew after a lost connection it no longer does.
        if entered:
            consumer.consume = lambda *_args, **_kwargs: None
        entered.append(True)
        return asynloop(obj, connection, consumer, *args, **kwargs)

    loops.asynloop = loop


PATCHES = {"celery.worker.loops": _consume_once}
