"""The driver `processes`: the whole stack as local processes, from pip packages alone.

Each replica is a process group in a session and directory of its own; Postgres and Redis are the embedded ones; every
service reaches every store through a listener of its own in one proxy process. A log line is in the log when its
process has written it: nothing is buffered in between.
"""

from __future__ import annotations

import atexit
import secrets
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import redis

from harness.clock import wait_for
from harness.drivers import service_health
from harness.drivers.container.leftovers import undo_all_leftovers
from harness.drivers.env_block import require_block
from harness.drivers.leftovers import Journal
from harness.drivers.process import embedded_postgres, embedded_redis
from harness.drivers.process.app_template import app_template
from harness.drivers.process.embedded_stores import EmbeddedStores
from harness.drivers.process.environments import own_environment
from harness.drivers.process.group import ProcessGroup
from harness.drivers.process.launches import Launches, helper_env
from harness.drivers.process.link_set import LinkSet
from harness.drivers.process.port_book import PortBook
from harness.drivers.protocol import SERVICES, STORES, Exit, Link, Process, Scope, StackSpec, State
from harness.drivers.replica_state import state_of
from harness.drivers.versions import VERSIONED, named
from harness.errors import DriverError, MissingCapability, StartFailed, WaitTimeout
from harness.lab_home import lab_home, store_home
from harness.tls import trusted

HEALTHY_TIMEOUT_S = 60.0
EXIT_KNOWN_TIMEOUT_S = 5.0
LOG_TAIL_LINES = 30
STOP_SIGNALS = {"postgres": signal.SIGINT}  # As the official image: fast, where SIGTERM would wait for its clients.


def processes_problem() -> str | None:
    """What keeps this driver from working here, with the next step; None when nothing does."""
    try:
        embedded_postgres.find_install(store_home(lab_home()))
        embedded_redis.find_server()
    except MissingCapability as missing:
        return str(missing)
    return None


@dataclass(slots=True)
class Replica:
    """One replica of a service, or a store (its own service)."""

    service: str
    group: ProcessGroup
    has_been_healthy: bool = False


class ProcessesStack:
    """All services of one run, as local processes. Ended at the interpreter's exit if nobody did before."""

    def __init__(self, spec: StackSpec, *, directory: Path, name: str | None = None) -> None:
        """Nothing is started yet. `directory` keeps the logs; the data lives under `.lab` and goes with `down`.

        Raises: MissingCapability when this machine cannot run it.
        """
        problem = processes_problem()
        if problem is not None:
            raise MissingCapability(problem)
        self.name = name or f"lab-{secrets.token_hex(4)}"
        self.driver = "processes"
        self.spec = spec
        self.directory = directory
        self._home = lab_home()
        self._store_home = store_home(self._home)
        self._lair = self._store_home.directory / "stacks" / self.name
        self._ports = PortBook()
        self._launches = Launches(
            lab=self.name, spec=spec, home=self._home, lair=self._lair, logs=self._logs, ports=self._ports
        )
        self._replicas: dict[str, Replica] = {}
        self._added: set[str] = set()
        self._running: _Running | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Everything up, migrated and healthy. Raises: DriverError with state, exit code, log tail, next step."""
        if self._running is not None:
            raise DriverError(f"{self.name} is started already")
        undo_all_leftovers(self._home)
        journal = Journal(lab=self.name, home=self._home)
        journal.note("directory", path=str(self._lair))
        self._store_home.make_way(self._lair)
        env = helper_env(self.name)
        links = LinkSet(lair=self._lair, logs=self._logs, ports=self._ports, env=env, journal=journal)
        receiver = ProcessGroup("receiver", journal=journal)
        self._running = _Running(journal=journal, links=links, receiver=receiver)
        atexit.register(self.down)
        links.start()
        receiver.start(self._launches.receiver())
        template = app_template(
            home=self._store_home,
            sources=self._launches.sources,
            env=self._launches.env("migrate", name="migrate", addresses={}),
            migrate=lambda url: self._launches.migrate({"DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:1/0"}),
            journal=journal,
        )
        self._running.stores = EmbeddedStores(
            lair=self._lair,
            logs=self._logs,
            home=self._store_home,
            ports=self._ports,
            env=env,
            template=template,
            journal=journal,
        )
        for store in STORES:
            self._replicas[store] = Replica(service=store, group=ProcessGroup(store, journal=journal))
            self._spawn(store, fresh=True)
        links.await_up()
        for store in STORES:
            self._await_healthy(store)
        for service in SERVICES:
            for _ in range(self.spec.replicas.get(service, 0)):
                self._spawn(self._new_replica(service))
        self._await_receiver()
        for name in self.replicas():
            self._await_healthy(name)

    def down(self) -> None:
        """End everything this stack started and remove it; the logs stay. Idempotent."""
        running = self._running
        if running is None:
            return
        for replica in reversed(self._replicas.values()):
            replica.group.kill()
        running.receiver.kill()
        running.links.kill()
        if running.stores is not None:
            running.stores.release()
        shutil.rmtree(self._lair)
        self._ports.release()
        running.journal.close()
        self._running = None
        atexit.unregister(self.down)

    # --- replicas ---------------------------------------------------------------------------------------------------

    def replicas(self, service: str | None = None) -> tuple[str, ...]:
        """Names of the replicas that exist (running or not), of one service or of all, stores excluded."""
        wanted = SERVICES if service is None else (service,)
        return tuple(name for name, replica in self._replicas.items() if replica.service in wanted)

    def start_replica(self, name: str, *, fresh: bool = False, wait: bool = True) -> None:
        """Start it (again); a fresh Postgres comes back migrated and empty. Raises: DriverError."""
        self._spawn(name, fresh=fresh)
        if wait:
            self._await_healthy(name)

    def add_replica(self, service: str, *, wait: bool = True) -> str:
        """One more replica of a service; returns its name. Raises: DriverError."""
        name = self._new_replica(service)
        self._added.add(name)
        self.start_replica(name, wait=wait)
        return name

    def remove_replica(self, name: str) -> None:
        """End a replica that add_replica made. Raises: DriverError for another."""
        if name not in self._added:
            raise DriverError(f"{name} was not made by add_replica; added were {sorted(self._added)}")
        self._replica(name).group.kill()
        self._added.discard(name)
        del self._replicas[name]

    def stop_replica(self, name: str, *, timeout_s: float | None = None, scope: Scope = Scope.MAIN) -> Exit:
        """As ECS stops a task: the stop signal to whom `scope` says, SIGKILL to all after the timeout."""
        replica = self._replica(name)
        timeout_s = self.spec.stop_timeout_s if timeout_s is None else timeout_s
        return replica.group.stop(STOP_SIGNALS.get(name, signal.SIGTERM), timeout_s=timeout_s, scope=scope)

    def kill_replica(self, name: str) -> Exit:
        """SIGKILL to all its processes at once; stores too."""
        return self._replica(name).group.kill()

    def signal(self, name: str, signum: int, *, scope: Scope = Scope.MAIN) -> None:
        """Send a signal from outside."""
        self._replica(name).group.signal(signum, scope=scope)

    def signal_process(self, name: str, pid: int, signum: int) -> None:
        """Send a signal to one process of a replica, e.g. a pool child."""
        self._replica(name).group.signal_member(pid, signum)

    def freeze(self, name: str) -> None:
        """SIGSTOP to every process of the replica; returns when all are in state T."""
        self._replica(name).group.freeze()

    def thaw(self, name: str) -> None:
        """SIGCONT to every process of the replica."""
        self._replica(name).group.thaw()

    def exhaust_memory(self, name: str, *, victim: int) -> None:
        """Raises: MissingCapability: the limit of a plain process is the whole machine's memory."""
        raise MissingCapability(f"{name} has no memory limit of its own (process {victim} cannot run into it)")

    def oom_kills(self, name: str) -> int:
        """Raises: MissingCapability: nobody counts for one replica."""
        raise MissingCapability(f"{name} has no memory limit of its own, and nobody counts its OOM kills")

    def processes(self, name: str) -> tuple[Process, ...]:
        """The replica's processes, main first; empty when it is down."""
        return self._replica(name).group.members()

    def environment(self, name: str) -> Mapping[str, str]:
        """What the replica's latest incarnation was started with, as the kernel has it."""
        return self._replica(name).group.environment

    def exit_of(self, name: str, *, timeout_s: float = 0.0) -> Exit | None:
        """How the replica's latest incarnation ended; None while it runs (waits up to `timeout_s`)."""
        return self._replica(name).group.exit(timeout_s=timeout_s)

    def state(self, name: str) -> State:
        """Judged by the service's own health check, after a look at its processes."""
        replica = self._replica(name)
        state = state_of(
            replica.group.members(),
            is_healthy=lambda: self._is_healthy(name, replica.service),
            has_been_healthy=replica.has_been_healthy,
        )
        replica.has_been_healthy |= state is State.HEALTHY
        return state

    def is_fit(self, name: str) -> bool:
        """What the service's own health check alone says, also of a replica that is frozen."""
        return self._is_healthy(name, self._replica(name).service)

    def logs(self, name: str) -> Sequence[str]:
        """All lines of all its incarnations, oldest first, without trailing newlines."""
        path = self._logs / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []

    def change_env(self, service: str, changes: Mapping[str, str | None]) -> None:
        """Change one service's environment from its next start on; None removes a variable."""
        require_block(service)
        self._launches.change_env(service, changes)

    def restore_env(self, service: str) -> None:
        """Forget every change made to one service's environment, from its next start on. Idempotent."""
        require_block(service)
        self._launches.restore_env(service)

    # --- addresses --------------------------------------------------------------------------------------------------

    def api_urls(self) -> Mapping[str, str]:
        """Base URL of each api replica, on loopback."""
        return {name: f"http://{self._ports.address(name)}" for name in self.replicas("api")}

    def dsn(self) -> str:
        """Postgres as superuser, bypassing the links."""
        return self._stores.dsn()

    def redis_url(self) -> str:
        """Redis, bypassing the links."""
        return self._stores.redis_url()

    def receiver_url(self) -> str:
        """Control URL of the reminder receiver, on loopback."""
        return f"http://{self._ports.address('receiver')}"

    def link(self, service: str, store: str) -> Link:
        """The path from a service to a store."""
        return self._up.links.link(service, store)

    def versions(self) -> Mapping[str, str]:
        """Versions of what runs; a service with pins adds its own, as `celery (worker)`."""
        found = {"python": sys.version.split()[0], **named(own_environment().versions(*VERSIONED), service=None)}
        for service in self.spec.pins:
            found |= named(self._launches.environment(service).versions(*VERSIONED), service=service)
        with psycopg.connect(self.dsn(), connect_timeout=5) as session:
            row = session.execute("show server_version").fetchone()
        with redis.Redis.from_url(self.redis_url(), socket_timeout=5.0) as client:
            server = client.info("server")
        found["postgres"] = str(row[0]) if row is not None else "?"
        found["redis"] = str(server.get("valkey_version") or server["redis_version"])
        return {**found, "driver": self.driver, "proxy": self._up.links.version()}

    # --- inside -----------------------------------------------------------------------------------------------------

    @property
    def _logs(self) -> Path:
        return self.directory / "logs"

    @property
    def _up(self) -> _Running:
        if self._running is None:
            raise DriverError(f"{self.name} is not started")
        return self._running

    @property
    def _stores(self) -> EmbeddedStores:
        if self._up.stores is None:
            raise DriverError(f"{self.name} has no stores yet")
        return self._up.stores

    def _replica(self, name: str) -> Replica:
        if name not in self._replicas:
            raise DriverError(f"no replica {name!r}; there are {sorted(self._replicas)}")
        return self._replicas[name]

    def _new_replica(self, service: str) -> str:
        if service not in SERVICES:
            raise DriverError(f"no service {service!r}; services are {SERVICES}")
        number = 1
        while f"{service}-{number}" in self._replicas:
            number += 1
        name = f"{service}-{number}"
        self._replicas[name] = Replica(service=service, group=ProcessGroup(name, journal=self._up.journal))
        return name

    def _addresses(self, service: str) -> dict[str, str]:
        return self._stores.addresses(self._up.links.port_of(service))

    def _spawn(self, name: str, *, fresh: bool = False) -> None:
        replica = self._replica(name)
        if replica.group.is_running:
            raise DriverError(f"{name} runs already: stop it first")
        replica.has_been_healthy = False
        service = replica.service
        if service in STORES:
            launch = self._stores.launch(service, fresh=fresh)
        else:
            launch = self._launches.service(service, name=name, addresses=self._addresses(service))
        replica.group.start(launch)

    def _is_healthy(self, name: str, service: str) -> bool:
        if service in STORES:
            return self._stores.answers(service)
        if service == "api":
            return service_health.is_api_healthy(self.api_urls()[name])
        if not self._launches.has_begun(name):
            return False
        return service_health.is_command_healthy(
            service,
            python=self._launches.environment(service).python,
            env=self._launches.env(service, name=name, addresses=self._addresses(service)),
        )

    def _await_healthy(self, name: str) -> None:
        """Raises: DriverError (for a service StartFailed), at once when it ended, else when the time is up."""

        def settled() -> State | None:
            state = self.state(name)
            return state if state in (State.HEALTHY, State.DOWN) else None

        try:
            state = wait_for(settled, awaiting=f"{name} to be healthy", timeout_s=HEALTHY_TIMEOUT_S)
        except WaitTimeout as error:
            raise self._unstarted(name, f"is {self.state(name)} after {HEALTHY_TIMEOUT_S:.0f} s") from error
        if state is State.DOWN:
            self.exit_of(name, timeout_s=EXIT_KNOWN_TIMEOUT_S)  # It is gone a moment before its exit is known.
            raise self._unstarted(name, "ended while starting")

    def _unstarted(self, name: str, how: str) -> DriverError:
        ended = self.exit_of(name)
        tail = "\n".join(self.logs(name)[-LOG_TAIL_LINES:])
        message = f"{name} {how}; exit: {ended}; its log, {self._logs / f'{name}.log'}, ends:\n{tail}"
        if name in STORES:
            return DriverError(message)
        return StartFailed(message, replica=name, exit_code=None if ended is None else ended.code)

    def _await_receiver(self) -> None:
        def is_up() -> bool:
            try:
                return httpx.get(f"{self.receiver_url()}/health", timeout=1.0, verify=trusted()).is_success
            except httpx.HTTPError:
                return False

        wait_for(is_up, awaiting="the reminder receiver to answer", timeout_s=HEALTHY_TIMEOUT_S)


@dataclass(slots=True)
class _Running:
    """What exists only between start and down."""

    journal: Journal
    links: LinkSet
    receiver: ProcessGroup
    stores: EmbeddedStores | None = None
