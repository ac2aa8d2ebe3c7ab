"""Obeying a stop signal between two steps of the worker's event loop, never in the middle of one.

Celery 5.6.3 runs the whole cold shutdown, soft window included, inside the signal handler. A signal that arrives while
the main process has written the header of a job to a pool child but not its body then leaves both waiting for each
other, until SIGKILL: about one stop in thirty under a stream of small tasks. Here the handler only notes the signal and
wakes the loop through a pipe. As the loop goes on during the soft window, it also sees tasks end, acks them, and ends
the window as soon as nothing runs.

Warm shutdown likewise: Celery leaves the loop at once and forgets jobs that a child has been given but has not yet
confirmed. The child runs such a job, waits half a minute for its result to be read, and the message is not acked. So
the loop goes on until nothing runs; only then does Celery's own warm shutdown begin.

Outside the loop (starting, connecting, reconnecting) no job is being written, and the signal is obeyed at once.
"""

import atexit
import faulthandler
import logging
import os
import signal
from enum import IntEnum
from types import FrameType
from typing import Any, NoReturn

from billiard.common import REMAP_SIGTERM
from celery import bootsteps, signals
from celery.exceptions import WorkerShutdown, WorkerTerminate
from celery.worker import state

from backend.clock import monotonic_s, sleep_s
from backend.env import config
from backend.logs import log_event
from backend.worker_pulse import worker_pulse

logger = logging.getLogger(__name__)

CHECK_EVERY_S = 0.1
LAST_RESORT = 0.8  # of the time between the soft window and SIGKILL: then the process ends itself, with a traceback
_SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)


class Phase(IntEnum):
    """How far the stop has come; it never goes back."""

    RUNNING = 0
    WARM = 1  # waits for running tasks without a bound
    SOFT = 2  # waits for them within the window
    COLD = 3  # cancels what still runs


class StopSignal:
    """The stop of one worker. First cold signal: soft window; second: cancel now; third: leave everything.

    SIGTERM is cold with REMAP_SIGTERM=SIGQUIT, else warm; SIGQUIT is cold; SIGINT is warm, then cold.
    """

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._pid = os.getpid()
        self._phase = Phase.RUNNING
        self._is_looping = False
        self._noted: list[int] = []
        self._warm_signal: int | None = None
        self._deadline_s = 0.0
        self._celerys: dict[int, Any] = {}
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)

    @property
    def phase(self) -> Phase:
        """How far the stop has come."""
        return self._phase

    def install(self) -> None:
        """Take the signals over from Celery; its handlers are kept for what they still do."""
        for number in _SIGNALS:
            self._celerys[number] = signal.getsignal(number)
            signal.signal(number, self._on_signal)

    def loop_begins(self, hub: Any) -> None:
        """The event loop is about to run: from now on signals wait for its next step."""
        hub.add_reader(self._read_fd, self._on_wake)
        self._is_looping = True

    def loop_ended(self) -> None:
        """The loop is over, told to or by an error; a stop that is under way is completed without it."""
        self._is_looping = False
        self._end_warmly()
        if self._phase is Phase.SOFT:
            # Without the loop nobody sees the tasks end, so the window is waited out.
            while self._unfinished() and monotonic_s() < self._deadline_s:
                sleep_s(CHECK_EVERY_S)
            self._cancel("the broker is away")
            _leave()
        while self._noted:
            self._obey_at_once(self._noted.pop(0), None)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a pool child that has not yet set up its own signals
            self._celerys[number](number, frame)
        elif self._phase is Phase.COLD:
            raise WorkerTerminate(1)
        elif self._is_looping:
            self._noted.append(number)
            self._wake()
        else:
            self._obey_at_once(number, frame)

    def _wake(self) -> None:
        try:
            os.write(self._write_fd, b"\0")
        except BlockingIOError:
            return  # full of wake-ups that were not yet read

    def _on_wake(self) -> None:
        os.read(self._read_fd, 4096)
        while self._noted:
            self._obey(self._noted.pop(0))

    def _is_cold(self, number: int) -> bool:
        match number:
            case signal.SIGTERM:
                return bool(REMAP_SIGTERM == "SIGQUIT")
            case signal.SIGINT:
                return self._phase is not Phase.RUNNING
            case _:
                return True

    def _obey(self, number: int) -> None:
        """Between two steps of the loop."""
        if self._phase is Phase.SOFT:
            self._cancel("a further signal")
        elif self._is_cold(number):
            self._begin_window(number)
        elif self._phase is Phase.RUNNING:
            self._phase = Phase.WARM
            self._warm_signal = number
            self._log(number, "finishes its tasks, then stops")
            atexit.register(self._end)
            self._await_tasks()

    def _obey_at_once(self, number: int, frame: FrameType | None) -> None:
        """Outside the loop; Celery's handlers wait out the window themselves when tasks run."""
        is_first = self._phase is Phase.RUNNING
        if self._is_cold(number):
            self._log(number, "stops at once, not being in its loop")
            self._phase = Phase.COLD
            self._arm_last_resort()
            self._celerys[number](number, frame)
            if worker_pulse().is_broker_lost:
                _leave()
            raise WorkerTerminate(True)
        self._phase = Phase.WARM
        self._celerys[number](number, frame)
        if is_first:
            self._log(number, "stops, not being in its loop")
            raise WorkerShutdown(0)

    def _begin_window(self, number: int) -> None:
        window_s = config().soft_shutdown_s
        self._phase = Phase.SOFT
        self._deadline_s = monotonic_s() + window_s
        self._log(number, f"gives its tasks {window_s:g} s")
        self._arm_last_resort()
        atexit.register(self._end)
        signals.worker_shutting_down.send(
            sender=self._worker.hostname, sig=signal.Signals(number).name, how="Cold", exitcode=0
        )
        self._await_tasks()

    def _await_tasks(self) -> None:
        """Take no more, and go on with the loop until those that run have ended, or the window has."""
        if self._worker.consumer.task_consumer:
            self._worker.consumer.task_consumer.cancel()
        if self._unfinished():
            self._worker.consumer.hub.timer.call_repeatedly(CHECK_EVERY_S, self._check_tasks)
        else:
            self._check_tasks()

    def _check_tasks(self) -> None:
        is_done = not self._unfinished()
        if self._phase is Phase.WARM and is_done:
            self._end_warmly()
        elif self._phase is Phase.SOFT and is_done:
            self._cancel("its tasks are done")
        elif self._phase is Phase.SOFT and monotonic_s() >= self._deadline_s:
            self._cancel("the window is over")

    def _end_warmly(self) -> None:
        """Celery's own warm shutdown, if one is due: it leaves the loop at its next turn."""
        number, self._warm_signal = self._warm_signal, None
        if number is not None and self._phase is Phase.WARM:
            self._celerys[number](number, None)

    def _cancel(self, why: str) -> None:
        """The rest of Celery's cold shutdown: unfinished messages go back to the queue."""
        self._phase = Phase.COLD
        log_event(logger, "worker_stopping", f"cancels what still runs: {why}", tasks=len(self._unfinished()))
        self._worker.consumer.cancel_active_requests()
        state.should_terminate = True
        if self._worker.pool:
            self._worker.pool.stop()

    def _end(self) -> None:
        """Go, once every step has stopped: to take the interpreter apart takes a busy machine seconds, for nothing."""
        if self._worker.blueprint.state == bootsteps.TERMINATE and os.getpid() == self._pid:
            logging.shutdown()
            os._exit(self._worker.exitcode or 0)

    def _unfinished(self) -> set[Any]:
        return {*state.active_requests, *state.reserved_requests}

    def _arm_last_resort(self) -> None:
        times = config()
        rest_s = (times.stop_timeout_s - times.soft_shutdown_s) * LAST_RESORT
        faulthandler.dump_traceback_later(times.soft_shutdown_s + rest_s, exit=True)

    def _log(self, number: int, what: str) -> None:
        name, tasks = signal.Signals(number).name, len(self._unfinished())
        log_event(logger, "stop_requested", f"{name}: the worker {what}", signal=name, tasks=tasks)


def _leave() -> NoReturn:
    """Go without a word to a broker that does not answer.

    The pool is down. Messages that were not acked stay with the broker and come back after the visibility timeout;
    their work is dispatched again by the sweeper long before. Celery's own way out would wait for the broker, again
    and again.
    """
    log_event(logger, "worker_stopping", "leaves its messages to the broker, which is away")
    os._exit(0)


class StopSignalStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Installs the handlers once Celery has installed its own, which it does before the first step starts."""

    requires = ("celery.worker.components:Pool",)

    def create(self, parent: Any) -> StopSignal:
        """The worker's consumer reaches it as `controller.stop_signal`."""
        stop_signal = parent.stop_signal = StopSignal(parent)
        return stop_signal

    def start(self, parent: Any) -> None:
        """Runs in the main thread."""
        self.obj.install()

    def stop(self, parent: Any) -> None:
        """Handlers stay until the end."""

    terminate = stop
