"""The worker's consumer: Celery's, plus a heartbeat, a watch on its own ears, and nothing discarded in silence."""

import logging
from collections.abc import Callable
from typing import Any

from celery.worker import loops
from celery.worker.consumer.consumer import Consumer
from celery.worker.state import maybe_shutdown
from django.db import connections

from backend.env import config
from backend.logs import log_event
from backend.worker_pulse import worker_pulse

logger = logging.getLogger(__name__)

BEAT_EVERY_S = 1.0
RETRY_FIRST_S = 0.5  # waiting for the broker: the first wait, how much longer each is, and the longest
RETRY_STEP_S = 0.5
RETRY_MAX_S = 2.0
REASON_LENGTH = 500
# No events between workers: nobody reads them, and while Redis is frozen their publisher retries inside the event loop
# without a bound, which leaves the worker hung, deaf to a stop and unaware that the broker is gone.
_SILENT = {"without_heartbeat": True, "without_gossip": True, "without_mingle": True}
SHELVED_S = 5.0  # until a message is tried again that could not be written to the dead letters


class LoudConsumer(Consumer):  # type: ignore[misc]  # Celery has no types
    """Set as `worker_consumer`. Runs in the worker's main thread."""

    first_connection_attempt: bool
    _ack_error: Exception | None = None

    def __init__(self, *args: Any, worker_options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, worker_options={**(worker_options or {}), **_SILENT}, **kwargs)

    def loop(self, obj: Any, connection: Any, consumer: Any, blueprint: Any, hub: Any, *args: Any) -> None:
        """Celery's event loop, entered anew after each loss of the broker."""
        stop_signal = self.controller.stop_signal
        worker_pulse().heard()
        self._listen(consumer.channel)
        self._watch_acks(consumer.channel, connection.connection_errors)
        watched = (consumer.channel, connection.connection_errors)
        hub.call_soon(self._beat, *watched)  # fit from the loop's first turn on, and not only after the first second
        hub.timer.call_repeatedly(BEAT_EVERY_S, self._beat, watched)
        if worker_pulse().found_broker():
            log_event(logger, "broker_regained", "the broker is back; consuming")
        try:
            stop_signal.loop_begins(hub)
            loops.asynloop(obj, connection, consumer, blueprint, hub, *args)
        finally:
            stop_signal.loop_ended()

    def ensure_connected(self, conn: Any) -> Any:
        """Wait for the broker, if need be for ever: loudly, alive, and with short waits."""
        conf = self.app.conf
        is_start = self.first_connection_attempt
        if not (conf.broker_connection_retry_on_startup if is_start else conf.broker_connection_retry):
            return super().ensure_connected(conn)
        connected = conn.ensure_connection(
            lambda error, interval: self._lost(error),
            conf.broker_connection_max_retries,
            interval_start=RETRY_FIRST_S,
            interval_step=RETRY_STEP_S,
            interval_max=RETRY_MAX_S,
            callback=self._while_waiting,
        )
        self.first_connection_attempt = False
        return connected

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """The loop was left by an error of the connection."""
        self._lost(exc)
        super().on_connection_error_after_connected(exc)

    def on_unknown_task(self, body: Any, message: Any, exc: BaseException) -> None:
        """A task that this version does not know: kept, to be put back when some version does."""
        self._dead_letter(message, reason="unregistered", error=exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Not a task message at all."""
        self._dead_letter(message, reason="not a task message", error=None)

    def on_invalid_task(self, body: Any, message: Any, exc: BaseException) -> None:
        """A task message that Celery cannot make a request of."""
        self._dead_letter(message, reason="invalid", error=exc)

    def on_decode_error(self, message: Any, exc: BaseException) -> None:
        """A body that cannot be read."""
        self._dead_letter(message, reason="undecodable", error=exc)

    def _listen(self, channel: Any) -> None:
        """Note every answer to the poll: the broker answers an idle one each second, with nothing."""
        on_answer: Callable[[], Any] = channel.handlers["BRPOP"]

        def note_and_read() -> Any:
            worker_pulse().heard()
            return on_answer()

        channel.handlers["BRPOP"] = note_and_read

    def _watch_acks(self, channel: Any, connection_errors: tuple[type[Exception], ...]) -> None:
        """Note an ack or reject that the broker did not take: Celery only logs it, and the message keeps its place in
        the prefetch for good. After as many as there are children the worker would never poll again.
        """
        self._ack_error = None

        def noting(settle: Callable[..., Any]) -> Callable[..., Any]:
            def settle_or_note(*args: Any, **kwargs: Any) -> Any:
                try:
                    return settle(*args, **kwargs)
                except connection_errors as error:
                    self._ack_error = error
                    raise

            return settle_or_note

        channel.qos.ack = noting(channel.qos.ack)
        channel.qos.reject = noting(channel.qos.reject)

    def _beat(self, channel: Any, connection_errors: tuple[type[Exception], ...]) -> None:
        """Raises: a connection error, which makes Celery connect anew, when the poll has gone unanswered for long, or
        when an ack was not taken.

        A connection that was cut without a word (failover, NAT) stays silent for ever; no socket timeout covers the
        poll, which is only written and then waited for by the loop.
        """
        if not channel.qos.can_consume() or not channel.active_queues:  # it does not poll now, and is not deaf
            worker_pulse().heard()
        worker_pulse().beat()
        if self._ack_error is not None:
            raise self._ack_error
        if worker_pulse().silent_s() > deaf_after_s():
            raise connection_errors[0](f"the broker has not answered the poll for {worker_pulse().silent_s():.1f} s")

    def _while_waiting(self) -> None:
        worker_pulse().heard()
        worker_pulse().beat()
        maybe_shutdown()

    def _lost(self, error: BaseException) -> None:
        if worker_pulse().lost_broker():
            log_event(
                logger,
                "broker_lost",
                "the broker is away; waiting for it",
                level=logging.ERROR,
                error=f"{type(error).__name__}: {error}",
            )

    def _dead_letter(self, message: Any, *, reason: str, error: BaseException | None) -> None:
        """Write the row, then drop the message; while Postgres is away the message waits, in no one's way."""
        if self._write_dead_letter(message, reason=reason, error=error):
            message.reject_log_error(logger, self.connection_errors)
            return
        self.qos.increment_eventually()  # as for a task with an ETA: it must not use up the prefetch

        def try_again() -> None:
            if self._write_dead_letter(message, reason=reason, error=error):
                message.reject_log_error(logger, self.connection_errors)
                self.qos.decrement_eventually()
            else:
                self.timer.call_after(SHELVED_S, try_again)

        self.timer.call_after(SHELVED_S, try_again)

    def _write_dead_letter(self, message: Any, *, reason: str, error: BaseException | None) -> bool:
        from healthkit.database import INFRASTRUCTURE_ERRORS  # models are not loaded when this module is
        from healthkit.dead_letters import dead_letter_record

        headers = message.headers if isinstance(message.headers, dict) else {}
        try:
            dead_letter_record(
                task_name=str(headers.get("task", "")),
                message_id=str(headers.get("id") or message.delivery_tag),
                payload=_payload(message, headers),
                reason=reason if error is None else f"{reason}: {error}"[:REASON_LENGTH],
                batch_id=headers.get("batch"),
            )
        except INFRASTRUCTURE_ERRORS as failure:
            log_event(
                logger,
                "database_unavailable",
                f"a message ({reason}) waits for Postgres to be kept as a dead letter",
                level=logging.ERROR,
                error=str(failure),
            )
            return False
        finally:
            connections.close_all()  # pool children are forked from this process
        return True


def _payload(message: Any, headers: dict[str, Any]) -> dict[str, Any]:
    """What a re-drive publishes, where the message can be read; else all that there is of it."""
    queue = message.delivery_info.get("routing_key")
    try:
        args, kwargs, _ = message.decode()
        return {"task": headers["task"], "args": list(args), "kwargs": dict(kwargs), "queue": queue}
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it: that is why it is kept
        body = message.body
        return {
            "body": body.decode(errors="replace") if isinstance(body, bytes) else str(body),
            "headers": {name: str(value) for name, value in headers.items()},
            "content_type": message.content_type,
            "content_encoding": message.content_encoding,
            "queue": queue,
            "unreadable": f"{type(error).__name__}: {error}"[:REASON_LENGTH],
        }


def deaf_after_s() -> float:
    """How long the poll may go unanswered: its own second, and two of the broker's answering times."""
    return 2.0 + 2 * config().broker_read_timeout_s
