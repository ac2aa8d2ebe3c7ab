"""One replica, store or helper as a container: read and harmed from outside."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from docker.errors import APIError, NotFound
from docker.models.containers import Container

from harness.clock import pause, utc_now
from harness.drivers.container.logs import LogPump
from harness.drivers.container.processes import MAIN_PID, ProcessView, is_in_sight, view_of
from harness.drivers.protocol import Exit, Process, Scope, State
from harness.drivers.replica_state import HARMLESS, freeze, state_of
from harness.drivers.service_health import CHECK_TIMEOUT_S
from harness.errors import DriverError

KILL_TIMEOUT_S = 15.0
EXIT_INTERVAL_S = 0.02
HEALTH_TTL_S = 1.0
"""How long a health check's yes is good for: the check runs inside the container and costs the replica a process."""
UNHEALTHY_TTL_S = 0.2
"""How long its no is: somebody is waiting for the yes."""
NOT_RUNNING = 409
HealthCheck = Callable[[Container], bool]


class ContainerReplica:
    """A replica over all its incarnations, the same container started again or another one in its place."""

    def __init__(self, name: str, *, service: str, is_healthy: HealthCheck, log: Path) -> None:
        """Nothing runs yet. `is_healthy` asks the service's own health check; its output is appended to `log`."""
        self.name = name
        self.service = service
        self.pump = LogPump(log)
        self._is_healthy = is_healthy
        self._container: Container | None = None
        self._first_signal: datetime | None = None
        self._was_killed = False
        self._has_been_healthy = False
        self._health = (-HEALTH_TTL_S, False)

    @property
    def container(self) -> Container:
        """The container of the latest incarnation. Raises: DriverError when it was never started."""
        return self._known()

    def attach(self, container: Container) -> None:
        """A new incarnation has been started as this container; follow it."""
        self._container = container
        self._begin()
        self.pump.follow(container)

    def start(self) -> None:
        """Start the same container again. Raises: DriverError when it runs."""
        if self._is_running(container := self._known()):
            raise DriverError(f"{self.name} runs already: stop it first")
        container.start()
        self._begin()
        self.pump.follow(container)

    def members(self) -> tuple[Process, ...]:
        """The living processes, main first; empty when it is down."""
        view = self._view()
        return view.members() if view is not None else ()

    def signal(self, signum: int, *, scope: Scope) -> None:
        """Send a signal to the main process or to every process. Raises: DriverError when it is down."""
        view, members = self._living()
        self._note_signal(signum)
        pids = [each.pid for each in members] if scope is Scope.GROUP else [MAIN_PID]
        view.send(pids, signum)

    def signal_member(self, pid: int, signum: int) -> None:
        """Send a signal to one process. Raises: DriverError when it is none of this replica's."""
        view, members = self._living()
        if pid not in {each.pid for each in members}:
            raise DriverError(f"{self.name} has no process {pid}; it has {[each.pid for each in members]}")
        if pid == MAIN_PID:
            self._note_signal(signum)
        self._forget_health()
        view.send([pid], signum)

    def freeze(self) -> None:
        """SIGSTOP to every process. Raises: DriverError when it is down, WaitTimeout."""
        view, _ = self._living()
        self._forget_health()
        freeze(self.name, members=view.members, stop=lambda pids: view.send(pids, signal.SIGSTOP))

    def thaw(self) -> None:
        """SIGCONT to every process, children first so that the main process finds them at work. Nothing when down."""
        view = self._view()
        if view is not None:
            view.send([each.pid for each in reversed(view.members())], signal.SIGCONT)
            self._forget_health()

    def stop(self, *, timeout_s: float, scope: Scope = Scope.MAIN) -> Exit:
        """The image's stop signal to whom `scope` says, SIGKILL to all after `timeout_s`; to MAIN as `docker stop`.

        Raises: DriverError when it is down.
        """
        container = self._known()
        configured = str(container.attrs["Config"].get("StopSignal") or "SIGTERM")
        self.signal(signal.Signals[configured], scope=scope)
        ended = self.exit(timeout_s=timeout_s)
        if ended is not None:
            return ended
        self._was_killed = True
        return self.kill()

    def kill(self) -> Exit:
        """SIGKILL to all processes at once (the kernel ends the rest with the main one). The last exit when down."""
        self._note_signal(signal.SIGKILL)
        try:
            self._known().kill(signal.SIGKILL)
        except APIError as error:
            if error.status_code != NOT_RUNNING:
                raise
        ended = self.exit(timeout_s=KILL_TIMEOUT_S)
        if ended is None:
            raise DriverError(f"{self.name} did not end within {KILL_TIMEOUT_S} s of SIGKILL: {self.members()}")
        return ended

    def end(self) -> None:
        """Kill what runs and keep what it said. Nothing when it was never started."""
        if self._container is not None:
            try:
                self.kill()
            except NotFound:
                return  # Somebody has removed it.
            self.pump.drain()

    def remove(self) -> None:
        """End it and remove its container; its log stays."""
        self.end()
        if self._container is not None:
            self._container.remove(force=True, v=True)
            self._container = None

    def exit(self, *, timeout_s: float = 0.0) -> Exit | None:
        """How the latest incarnation ended; None while it runs (waits up to `timeout_s`), or if there was none."""
        container = self._container
        if container is None:
            return None
        deadline = time.monotonic() + timeout_s
        while self._is_running(container):
            if time.monotonic() >= deadline:
                return None
            pause(EXIT_INTERVAL_S)
        return self._ended(container)

    def state(self) -> State:
        """Judged by the service's own health check, after a look at its processes."""
        state = state_of(self.members(), is_healthy=self._check, has_been_healthy=self._has_been_healthy)
        self._has_been_healthy |= state is State.HEALTHY
        return state

    def is_fit(self) -> bool:
        """What the health check alone says now; False when it is down."""
        container = self._known()
        return self._is_running(container) and self._is_healthy(container)

    def described(self) -> str:
        """State, exit and log tail, for an error's message."""
        ended = self.exit()
        how = self.state().value if ended is None else f"down, {ended}"
        return "\n".join([f"{self.name}: {how}; its log ends:", *self.lines()[-30:]])

    def lines(self) -> list[str]:
        """All lines of all its incarnations."""
        if self._container is not None and not self._is_running(self._container):
            self.pump.drain()
        return list(self.pump.lines())

    def inside(self, *command: str) -> str:
        """What a command prints that is run in the container. Raises: DriverError when it fails."""
        code, (output, complaints) = self._known().exec_run(list(command), demux=True)
        if code != 0:
            said = bytes(complaints or b"").decode(errors="replace")
            raise DriverError(f"{self.name}: {' '.join(command)} exited {code}: {said[-500:]}")
        return bytes(output or b"").decode(errors="replace").strip()

    def _begin(self) -> None:
        self._first_signal, self._was_killed, self._has_been_healthy = None, False, False
        self._forget_health()

    def _known(self) -> Container:
        if self._container is None:
            raise DriverError(f"{self.name} was never started")
        return self._container

    @staticmethod
    def _is_running(container: Container) -> bool:
        """Asked many times a second: to ask the engine each time was a third of what the lab itself computes."""
        if is_in_sight(container):
            return True
        container.reload()
        return bool(container.attrs["State"]["Running"])

    def _view(self) -> ProcessView | None:
        container = self._container
        return view_of(container) if container is not None and self._is_running(container) else None

    def _living(self) -> tuple[ProcessView, tuple[Process, ...]]:
        view = self._view()
        members = view.members() if view is not None else ()
        if view is None or not members:
            raise DriverError(f"{self.name} is down: {self.exit() or 'it was never started'}")
        return view, members

    def _note_signal(self, signum: int) -> None:
        self._forget_health()
        if self._first_signal is None and signum not in HARMLESS:
            self._first_signal = utc_now()

    def _ended(self, container: Container) -> Exit | None:
        state = container.attrs["State"]
        if state["Status"] == "created":
            return None
        code = int(state["ExitCode"])
        took_s = 0.0
        if self._first_signal is not None:
            finished = datetime.fromisoformat(f"{state['FinishedAt'][:26].rstrip('Z'):0<26}+00:00")
            took_s = max(0.0, (finished - self._first_signal).total_seconds())
        return Exit(code=code, took_s=took_s, killed=self._was_killed and code == 128 + signal.SIGKILL)

    def _check(self) -> bool:
        at, answer = self._health
        if time.monotonic() - at >= (HEALTH_TTL_S if answer else UNHEALTHY_TTL_S):
            answer = self._is_healthy(self._known())
            self._health = (time.monotonic(), answer)
        return answer

    def _forget_health(self) -> None:
        self._health = (-HEALTH_TTL_S, False)


def passes_own_check(container: Container) -> bool:
    """Whether the health check that stack.yml gives this service passes, run in the container, bounded in time."""
    _, *command = container.attrs["Config"]["Healthcheck"]["Test"]
    try:
        code, _ = container.exec_run(["timeout", f"{CHECK_TIMEOUT_S:g}", *command])
    except APIError as error:
        if error.status_code == NOT_RUNNING or "is not running" in str(error.explanation):
            return False  # the second where it has ended between the two calls that an exec is
        raise
    return int(code or 0) == 0
