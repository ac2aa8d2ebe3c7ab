"""The driver `containers`: the stack of compose/stack.yml with the lab's overlay, in containers.

Compose brings it up (stores and helpers through testcontainers); the engine's API harms it, from outside, and removes
it. The engine runs on this machine or in a virtual machine on it; its published ports must be reachable on 127.0.0.1.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import psycopg
import redis
from docker.models.containers import Container
from testcontainers.compose import DockerCompose

from harness.clock import wait_for
from harness.drivers import service_health
from harness.drivers.container import memory
from harness.drivers.container.blueprint import Blueprint
from harness.drivers.container.compose_model import HELPERS, MIGRATE, volume_name
from harness.drivers.container.leftovers import AT_ONCE, JOURNAL_KIND, for_each, remove_stack, undo_container_leftovers
from harness.drivers.container.replica import ContainerReplica, passes_own_check
from harness.drivers.container.template import PostgresTemplate, database_passwords
from harness.drivers.env_block import require_block
from harness.drivers.leftovers import Journal
from harness.drivers.ports import ReservedPort
from harness.drivers.protocol import SERVICES, STORES, Exit, Link, Process, Scope, StackSpec, State
from harness.drivers.store_access import postgres_answers, postgres_url, redis_answers
from harness.drivers.versions import VERSIONED, named
from harness.engine import LAB_LABEL, connect, docker_env, labelled, require_engine
from harness.errors import DriverError, StartFailed, WaitTimeout
from harness.images.images import ensure_images
from harness.lab_home import PROJECT, lab_home
from harness.links.local import TcpLink, TcpProxy
from harness.links.toxiproxy import Toxiproxy, ToxiproxyLink, configured_addresses

HEALTHY_TIMEOUT_S = 120.0
MIGRATE_TIMEOUT_S = 120.0
STORE_STOP_TIMEOUT_S = 30.0
COMPOSE_TIMEOUT_S = 240.0
SERVICE_LABEL: Final = "com.docker.compose.service"
VOLUMES: Final = {"redis": "redis-data", "postgres": "postgres-data"}
VERSIONS_PROGRAM: Final = (
    "import importlib.metadata as m, json, platform, sys;"
    "print(json.dumps({'python': platform.python_version(), **{n: m.version(n) for n in sys.argv[1:]}}))"
)


class ContainersStack:
    """All services of one run, in containers."""

    def __init__(self, spec: StackSpec, *, directory: Path, name: str | None = None) -> None:
        """Nothing is started yet. `directory` keeps the logs and the Compose file.

        Raises: MissingCapability when no engine answers.
        """
        require_engine()
        self.name = name or f"lab-{secrets.token_hex(4)}"
        self.driver = "containers"
        self.spec = spec
        self.directory = directory.resolve()
        self._client = connect()
        self._lair = lab_home() / "stacks" / self.name
        self._passwords = database_passwords(lab_home())
        self._changes: dict[str, dict[str, str | None]] = {service: {} for service in SERVICES}
        self._names: dict[str, list[str]] = {
            service: [f"{service}-{number}" for number in range(1, count + 1)]
            for service, count in spec.replicas.items()
        }
        self._added: set[str] = set()
        self._stale: set[str] = set()
        self._ports: dict[str, ReservedPort] = {}
        self._replicas: dict[str, ContainerReplica] = {}
        self._journal: Journal | None = None
        self._blueprint: Blueprint | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Everything up, migrated and healthy. Raises: DriverError with state, exit code, log tail, next step."""
        undo_container_leftovers(lab_home())
        images = ensure_images()
        self._journal = Journal(lab=self.name, home=lab_home())
        self._journal.note("directory", path=str(self._lair))
        self._journal.note(JOURNAL_KIND, stack=self.name)
        atexit.register(self._end_at_exit)
        self._lair.mkdir(parents=True)
        self._blueprint = Blueprint(
            self.spec, name=self.name, directory=self._lair, images=images, passwords=self._passwords
        )
        env = {**self._blueprint.migrate_env(), **self._passwords}
        template = PostgresTemplate(spec=self.spec, images=images, env=env)
        self._blueprint.postgres_image = template.image() or images.base.postgres
        self._write()
        for name in (*STORES, *HELPERS, MIGRATE, *self.replicas()):
            self._replicas[name] = self._new_replica(name)
        self._start_stores()
        if template.image() is None:
            self._migrate()
            self._replica("postgres").stop(timeout_s=STORE_STOP_TIMEOUT_S)
            self._blueprint.postgres_image = template.make(
                self._replica("postgres").container, directory=self._lair / "template"
            )
            self.start_replica("postgres")
        if self.replicas():
            self._up(*self.replicas())
        self._attach(*self.replicas())
        for name in self.replicas():
            self._await_healthy(name)

    def down(self) -> None:
        """End everything this stack started and remove it, volumes too; the logs stay. Idempotent."""
        self._end(at_once=AT_ONCE)

    # --- replicas ---------------------------------------------------------------------------------------------------

    def replicas(self, service: str | None = None) -> tuple[str, ...]:
        """Names of the replicas that exist (running or not), of one service or of all, stores excluded."""
        wanted = SERVICES if service is None else (service,)
        return tuple(name for each in wanted for name in self._names.get(each, ()))

    def start_replica(self, name: str, *, fresh: bool = False, wait: bool = True) -> None:
        """Start it (again); a fresh Postgres comes back migrated and empty. Raises: DriverError."""
        replica = self._replica(name)
        if fresh or name in self._stale:
            self._recreate(name, is_fresh=fresh)
        else:
            replica.start()
        if wait:
            self._await_healthy(name)

    def add_replica(self, service: str, *, wait: bool = True) -> str:
        """One more replica of a service; returns its name. Raises: DriverError."""
        if service not in SERVICES or self._journal is None:
            raise DriverError(f"no service {service!r} of a running stack; services are {SERVICES}")
        names = self._names.setdefault(service, [])
        number = next(each for each in range(1, len(names) + 2) if f"{service}-{each}" not in names)
        name = f"{service}-{number}"
        names.append(name)
        self._added.add(name)
        self._replicas[name] = self._new_replica(name)
        self._recreate(name, is_fresh=False)
        if wait:
            self._await_healthy(name)
        return name

    def remove_replica(self, name: str) -> None:
        """End a replica that add_replica made. Raises: DriverError for another."""
        if name not in self._added:
            raise DriverError(f"{name} was not made by add_replica; added were {sorted(self._added)}")
        self._replica(name).remove()
        self._added.discard(name)
        self._names[self._replicas.pop(name).service].remove(name)
        self._write()

    def stop_replica(self, name: str, *, timeout_s: float | None = None, scope: Scope = Scope.MAIN) -> Exit:
        """As ECS stops a task: the stop signal to whom `scope` says, SIGKILL to all after the timeout."""
        timeout_s = self.spec.stop_timeout_s if timeout_s is None else timeout_s
        return self._replica(name).stop(timeout_s=timeout_s, scope=scope)

    def kill_replica(self, name: str) -> Exit:
        """SIGKILL to all its processes at once; stores too."""
        return self._replica(name).kill()

    def signal(self, name: str, signum: int, *, scope: Scope = Scope.MAIN) -> None:
        """Send a signal from outside."""
        self._replica(name).signal(signum, scope=scope)

    def signal_process(self, name: str, pid: int, signum: int) -> None:
        """Send a signal to one process of a replica, e.g. a pool child; `pid` is the one inside the container."""
        self._replica(name).signal_member(pid, signum)

    def freeze(self, name: str) -> None:
        """SIGSTOP to every process of the replica; returns when all are in state T."""
        self._replica(name).freeze()

    def thaw(self, name: str) -> None:
        """SIGCONT to every process of the replica."""
        self._replica(name).thaw()

    def exhaust_memory(self, name: str, *, victim: int) -> None:
        """Use up the replica's memory limit until the kernel's OOM killer has ended process `victim`."""
        memory.exhaust(self._replica(name), victim)

    def oom_kills(self, name: str) -> int:
        """How many processes of the replica's incarnation the kernel has ended for want of memory, as it counts."""
        return memory.oom_kills(self._replica(name))

    def processes(self, name: str) -> tuple[Process, ...]:
        """The replica's processes, main first; empty when it is down."""
        return self._replica(name).members()

    def environment(self, name: str) -> Mapping[str, str]:
        """What the replica's latest incarnation was started with, as the engine has it."""
        return dict(each.split("=", 1) for each in self._replica(name).container.attrs["Config"]["Env"])

    def exit_of(self, name: str, *, timeout_s: float = 0.0) -> Exit | None:
        """How the replica's latest incarnation ended; None while it runs (waits up to `timeout_s`)."""
        return self._replica(name).exit(timeout_s=timeout_s)

    def state(self, name: str) -> State:
        """Judged by the service's own health check, after a look at its processes."""
        return self._replica(name).state()

    def is_fit(self, name: str) -> bool:
        """What the service's own health check alone says, also of a replica that is frozen."""
        return self._replica(name).is_fit()

    def logs(self, name: str) -> Sequence[str]:
        """All lines of all its incarnations, oldest first, without trailing newlines."""
        return self._replica(name).lines()

    def change_env(self, service: str, changes: Mapping[str, str | None]) -> None:
        """Change one service's environment from its next start on; None removes a variable."""
        require_block(service)
        self._changes[service].update(changes)
        self._stale.update(self.replicas(service))
        self._write()

    def restore_env(self, service: str) -> None:
        """Forget every change made to one service's environment, from its next start on. Idempotent."""
        require_block(service)
        self._changes[service].clear()
        self._stale.update(self.replicas(service))
        self._write()

    # --- addresses --------------------------------------------------------------------------------------------------

    def api_urls(self) -> Mapping[str, str]:
        """Base URL of each api replica, on loopback."""
        return {name: self._url(name) for name in self.replicas("api")}

    def dsn(self) -> str:
        """Postgres as superuser, bypassing the links."""
        return postgres_url(port=self._port("postgres"), password=self._passwords["POSTGRES_PASSWORD"])

    def redis_url(self) -> str:
        """Redis, bypassing the links."""
        return f"redis://127.0.0.1:{self._port('redis')}/0"

    def receiver_url(self) -> str:
        """Control URL of the reminder receiver, on loopback."""
        return self._url("receiver")

    def link(self, service: str, store: str) -> Link:
        """The path from a service to a store. Raises: DriverError when there is none."""
        if service not in SERVICES or store not in STORES:
            raise DriverError(f"no link {service!r} to {store!r}: services are {SERVICES}, stores {STORES}")
        front = TcpLink(service=service, store=store, proxy=TcpProxy(control=self._url("tcp-proxy")))
        listen, upstream = configured_addresses(PROJECT / "compose" / "toxiproxy.json")[f"{service}-{store}"]
        return ToxiproxyLink(
            service=service, store=store, front=front, server=self._toxiproxy, listen=listen, upstream=upstream
        )

    def versions(self) -> Mapping[str, str]:
        """Versions of what runs; a service with pins adds its own, as `celery (worker)`."""
        found: dict[str, str] = {}
        program = ("python", "-I", "-c", VERSIONS_PROGRAM, *VERSIONED)
        unpinned = [service for service in SERVICES if self.replicas(service) and service not in self.spec.pins]
        for service in (*unpinned[:1], *self.spec.pins):
            seen: dict[str, str] = json.loads(self._replica(self.replicas(service)[0]).inside(*program))
            found |= named(seen, service=service if service in self.spec.pins else None)
        with psycopg.connect(self.dsn(), connect_timeout=5) as session:
            row = session.execute("show server_version").fetchone()
        with redis.Redis.from_url(self.redis_url(), socket_timeout=5.0) as client:
            found["redis"] = str(client.info("server")["redis_version"])
        found["postgres"] = str(row[0]) if row is not None else "?"
        found["proxy"] = f"toxiproxy {self._toxiproxy.version()}, tcp_proxy"
        found["engine"] = str(self._client.version()["Version"])
        return {**found, "driver": self.driver, "images": self._plan.images.base.origin}

    # --- inside -----------------------------------------------------------------------------------------------------

    def _end(self, *, at_once: int) -> None:
        if self._journal is None:
            return
        for_each(self._replicas.values(), ContainerReplica.end, at_once=at_once)
        remove_stack(self._client, self.name, at_once=at_once)
        shutil.rmtree(self._lair, ignore_errors=True)
        for port in self._ports.values():
            port.release()
        self._journal.close()
        self._journal = None
        atexit.unregister(self._end_at_exit)

    def _end_at_exit(self) -> None:
        self._end(at_once=1)

    @property
    def _toxiproxy(self) -> Toxiproxy:
        return Toxiproxy(host="127.0.0.1", port=self._port("toxiproxy"))

    @property
    def _plan(self) -> Blueprint:
        if self._blueprint is None:
            raise DriverError(f"{self.name} is not started")
        return self._blueprint

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._port(name)}"

    def _port(self, name: str) -> int:
        if name not in self._ports:
            self._ports[name] = ReservedPort()
        return self._ports[name].number

    def _replica(self, name: str) -> ContainerReplica:
        try:
            return self._replicas[name]
        except KeyError:
            raise DriverError(f"no replica {name!r}; there are {sorted(self._replicas)}") from None

    def _log(self, name: str) -> Path:
        return self.directory / "logs" / f"{name}.log"

    def _new_replica(self, name: str) -> ContainerReplica:
        service = name.rpartition("-")[0] if name in self.replicas() else name
        return ContainerReplica(
            name, service=service, log=self._log(name), is_healthy=self._health_check(name, service)
        )

    def _health_check(self, name: str, service: str) -> Callable[[Container], bool]:
        match service:
            case "api":
                return lambda _: service_health.is_api_healthy(self._url(name))
            case "redis":
                return lambda _: redis_answers(self.redis_url())
            case "postgres":
                return lambda _: postgres_answers(self.dsn())
            case "worker" | "beat":
                return passes_own_check
            case _:
                return lambda _: True

    def _await_healthy(self, name: str) -> None:
        """Raises: DriverError (for a service StartFailed), at once when it ended, else when the time is up."""
        replica = self._replica(name)
        awaiting = f"{name} to become healthy"
        try:
            wait_for(
                lambda: replica.state() is State.HEALTHY or replica.exit() is not None,
                awaiting=awaiting,
                timeout_s=HEALTHY_TIMEOUT_S,
                interval_s=0.1,
            )
        except WaitTimeout as error:
            raise self._unstarted(name, f"expected {awaiting} within {HEALTHY_TIMEOUT_S:.0f} s") from error
        if replica.exit() is not None:
            raise self._unstarted(name, f"expected {awaiting}")

    def _unstarted(self, name: str, what: str) -> DriverError:
        replica = self._replica(name)
        message = f"{self.name}: {what}\n{replica.described()}"
        if replica.service not in (*SERVICES, MIGRATE):
            return DriverError(message)
        ended = replica.exit()
        return StartFailed(message, replica=name, exit_code=None if ended is None else ended.code)

    def _write(self) -> None:
        names = [(name, service) for service in SERVICES for name in self.replicas(service)]
        published = (*STORES, *HELPERS, *self.replicas("api"))
        self._plan.write(replicas=names, ports={name: self._port(name) for name in published}, changes=self._changes)

    def _recreate(self, name: str, *, is_fresh: bool) -> None:
        """A new container in the place of the old one, made from what the spec and its changes say now."""
        replica = self._replica(name)
        if replica.members():
            raise DriverError(f"{name} runs already: stop it first")
        replica.remove()
        if is_fresh:
            self._client.volumes.get(volume_name(self.name, VOLUMES[name])).remove(force=True)
        self._write()
        self._up(name)
        self._stale.discard(name)
        self._attach(name)

    def _start_stores(self) -> None:
        """Stores and helpers, through testcontainers; returns when the stores answer."""
        os.environ["DOCKER_HOST"] = docker_env()["DOCKER_HOST"]  # its commands inherit this process' environment
        try:
            self._compose(*STORES, *HELPERS).start()
        except subprocess.CalledProcessError as error:
            said = bytes(error.stderr or b"").decode(errors="replace")[-2000:]
            raise DriverError(f"{self.name}: docker compose up failed: {said}") from error
        self._attach(*STORES, *HELPERS)
        for name in STORES:
            self._await_healthy(name)

    def _migrate(self) -> None:
        self._up(MIGRATE)
        self._attach(MIGRATE)
        ended = self._replica(MIGRATE).exit(timeout_s=MIGRATE_TIMEOUT_S)
        if ended is None or ended.code != 0:
            raise self._unstarted(MIGRATE, "the database was not migrated")

    def _compose(self, *services: str) -> DockerCompose:
        return DockerCompose(
            context=self._lair, compose_file_name=self._plan.file.name, wait=False, services=list(services)
        )

    def _up(self, *names: str) -> None:
        """Start these, as the Compose file has them now. Raises: DriverError with what Compose said last."""
        command = [*self._compose().docker_compose_command(), "up", "--detach", "--pull", "never", *names]
        what = f"{self.name}: docker compose up {' '.join(names)}"
        try:
            done = subprocess.run(
                command, cwd=self._lair, capture_output=True, text=True, timeout=COMPOSE_TIMEOUT_S, env=docker_env()
            )
        except subprocess.TimeoutExpired as error:
            raise DriverError(f"{what} took over {COMPOSE_TIMEOUT_S:.0f} s: {str(error.stderr)[-2000:]}") from error
        if done.returncode != 0:
            raise DriverError(f"{what}: {done.stderr[-2000:]}")

    def _attach(self, *names: str) -> None:
        """Find the containers that Compose has started, and follow them."""
        for container in self._client.containers.list(
            all=True, filters=labelled(LAB_LABEL, self.name), ignore_removed=True
        ):
            name = str(container.labels[SERVICE_LABEL])
            if name in names and container.attrs["State"]["Status"] != "created":
                self._replica(name).attach(container)
