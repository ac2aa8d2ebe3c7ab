"""From compose/stack.yml and compose/lab.yml to the one file that a lab's stack runs from.

`docker compose config` resolves the two; what a lab needs beyond them (names, labels, fixed loopback ports, replicas,
the spec's environment, commands, mounts and images) is put in here: the stack's description stays in one place.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.drivers.protocol import SERVICES, STORES
from harness.engine import docker_env
from harness.errors import DriverError
from harness.lab_home import PROJECT

FOLDER: Final = PROJECT / "compose"
FILES: Final = (FOLDER / "stack.yml", FOLDER / "lab.yml")
MIGRATE: Final = "migrate"
HELPERS: Final = ("tcp-proxy", "toxiproxy", "receiver")
PORTS: Final = {"api": 8000, "redis": 6379, "postgres": 5432, "tcp-proxy": 8475, "toxiproxy": 8474, "receiver": 8900}
CONFIG_TIMEOUT_S = 60.0
HEALTH_INTERVAL: Final = "30s"
"""The harness judges whenever it asks; Docker's own rounds would take processor time from the stack."""
PASSED_ON: Final = frozenset({"PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CERT_PATH"})
Model = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of the host, seen read-only by the app's services."""

    source: Path
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One replica of a service: what differs from its siblings in other stacks. `port` is on loopback, for an api."""

    name: str
    service: str
    image: str
    env: Mapping[str, str]
    command: tuple[str, ...] | None = None
    port: int | None = None


def resolve(variables: Mapping[str, str], *, files: tuple[Path, ...] = FILES) -> Model:
    """The files as one, with `variables` in the place of ${…}; nothing else of the shell's gets in.

    Raises: DriverError with Compose's words.
    """
    command = ["docker", "compose", *(part for file in files for part in ("-f", str(file)))]
    environment = {name: value for name, value in docker_env().items() if name in PASSED_ON} | dict(variables)
    done = subprocess.run(
        [*command, "--env-file", os.devnull, "config", "--format", "json"],
        capture_output=True,
        text=True,
        timeout=CONFIG_TIMEOUT_S,
        env=environment,
    )
    if done.returncode != 0:
        raise DriverError(f"docker compose could not read {[file.name for file in files]}: {done.stderr[-2000:]}")
    model: Model = json.loads(done.stdout)
    return model


def environment_of(resolved: Model, service: str) -> dict[str, str]:
    """The environment block of a service, as the files have it."""
    block: dict[str, str] = resolved["services"][_prototype(service)]["environment"]
    return {name: value.replace("$$", "$") for name, value in block.items()}


def build_model(
    resolved: Model,
    *,
    name: str,
    labels: Mapping[str, str],
    replicas: Iterable[Replica],
    migrate: Replica,
    mounts: tuple[Mount, ...],
    ports: Mapping[str, int],
    postgres_image: str,
    stop_timeout_s: float,
) -> Model:
    """The stack `name`: these replicas, the stores and the helpers, labelled, with `ports` published on loopback.

    The order of starting is the driver's: it asks the stores itself, which takes less time than Docker's rounds.
    """
    services: Model = {}
    for replica in (*replicas, migrate):
        services[replica.name] = _service(resolved, replica, mounts=mounts, stop_timeout_s=stop_timeout_s)
    for each in (*STORES, *HELPERS):
        services[each] = copy.deepcopy(resolved["services"][each])
        services[each]["ports"] = [_port(ports[each], PORTS[each])]
    services["postgres"]["image"] = postgres_image
    for each, service in services.items():
        service.pop("build", None)
        service.pop("depends_on", None)
        if "healthcheck" in service:
            service["healthcheck"]["interval"] = HEALTH_INTERVAL
        service.update(container_name=f"{name}-{each}", hostname=each, labels=dict(labels))
    return {
        "name": name,
        "services": services,
        "networks": {"default": {"name": name, "labels": dict(labels)}},
        "volumes": {
            volume: {"name": volume_name(name, volume), "labels": dict(labels)} for volume in resolved["volumes"]
        },
    }


def volume_name(name: str, volume: str) -> str:
    """What the volume of stack `name` is called in the engine."""
    return f"{name}-{volume}"


def _service(resolved: Model, replica: Replica, *, mounts: tuple[Mount, ...], stop_timeout_s: float) -> Model:
    service: Model = copy.deepcopy(resolved["services"][_prototype(replica.service)])
    service["image"] = replica.image
    service["environment"] = {key: value.replace("$", "$$") for key, value in replica.env.items()}
    service["stop_grace_period"] = f"{stop_timeout_s}s"
    service["ports"] = [] if replica.port is None else [_port(replica.port, PORTS[replica.service])]
    service["volumes"] = [
        {"type": "bind", "source": str(each.source), "target": each.target, "read_only": True} for each in mounts
    ]
    if replica.command is not None:
        service["command"] = [part.replace("$", "$$") for part in replica.command]
    return service


def _prototype(service: str) -> str:
    """The service in the files that all replicas are copies of."""
    return f"{service}-1" if service in SERVICES else service


def _port(published: int, target: int) -> Model:
    return {"mode": "host", "host_ip": "127.0.0.1", "published": str(published), "target": target, "protocol": "tcp"}
