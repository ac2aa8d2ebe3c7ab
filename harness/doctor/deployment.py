"""A deployment as the doctor sees it: read from env files, a Compose file, a requirements file, a live Redis.

Every part is optional; rules say nothing about what was not given.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from harness.errors import LabError

SERVICES = ("api", "worker", "beat")
COMPOSE = "compose"
"""The environment that a Compose file's services are in: a description of a stack, not a place that is deployed to."""
DEFAULT_GRACE_S = 10.0
"""What Docker waits between SIGTERM and SIGKILL when nothing is said."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DEFAULTED = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")
_PIN = re.compile(r"^\s*([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*==\s*([^\s;\\]+)")


@dataclass(frozen=True, slots=True)
class Service:
    """One service of one environment. `command` is empty and `replicas` 1 where nothing is known.

    `stop_timeout_s` is None where the source does not say (an env file); `is_shell` when PID 1 is a shell.
    """

    environment: str
    name: str
    where: str
    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    replicas: int = 1
    stop_timeout_s: float | None = None
    is_shell: bool = False

    @property
    def role(self) -> str:
        """api, worker or beat, by what it runs, else by its name; empty for anything else."""
        words = self.command
        if "worker" in words and any("celery" in word for word in words):
            return "worker"
        if "beat" in words and any("celery" in word for word in words):
            return "beat"
        if any(server in word for word in words for server in ("gunicorn", "uvicorn", "uwsgi", "daphne")):
            return "api"
        base = re.sub(r"-\d+$", "", self.name)
        return base if base in SERVICES and not words else ""

    def option(self, *names: str) -> str | None:
        """The value of a command line option (`-P gevent`, `--pool=gevent`, `-Pgevent`), the last one given."""
        found = None
        for position, word in enumerate(self.command):
            for name in names:
                if word == name and position + 1 < len(self.command):
                    found = self.command[position + 1]
                elif name.startswith("--") and word.startswith(f"{name}="):
                    found = word.partition("=")[2]
                elif not name.startswith("--") and word.startswith(name) and len(word) > len(name):
                    found = word[len(name) :]
        return found


@dataclass(frozen=True, slots=True)
class Broker:
    """A Redis: from a Compose command or asked live. None where unknown."""

    where: str
    eviction: str | None = None
    appendonly: bool | None = None
    waiting: Mapping[str, int] = field(default_factory=dict)
    consumers: int | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """All that was given. `pins` maps a distribution's lower-case name to its exact version.

    `required` are the variables that the app's services cannot do without, by role; empty where nobody knows them.
    """

    services: tuple[Service, ...] = ()
    brokers: tuple[Broker, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    pins_from: str = ""
    queues: tuple[str, ...] = ()
    required: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, role: str) -> tuple[Service, ...]:
        """The services of a role, in every environment."""
        return tuple(service for service in self.services if service.role == role)


def read_env_file(path: Path) -> dict[str, str]:
    """NAME=value lines, as Compose reads them: `export` and quotes allowed, # comments. Raises: LabError."""
    found: dict[str, str] = {}
    for number, raw in enumerate(_text(path).splitlines(), start=1):
        line = raw.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise LabError(f"{path}:{number}: expected NAME=value, seen {line!r}")
        found[name.strip()] = _unquoted(value.strip())
    return found


def read_env_services(*, environment: str, service: str, path: Path) -> tuple[Service, ...]:
    """An env file as services: of the one service that it is for, or of all three when none is named."""
    env = read_env_file(path)
    names = (service,) if service else SERVICES
    return tuple(Service(environment=environment, name=name, where=str(path), env=env) for name in names)


def merged(services: Sequence[Service]) -> tuple[Service, ...]:
    """Each service of each environment once: of several files for one, later ones add to and override earlier ones."""
    found: dict[tuple[str, str], Service] = {}
    for one in services:
        key = (one.environment, one.name)
        before = found.get(key)
        if before is not None:
            one = replace(one, env={**before.env, **one.env}, where=f"{before.where} + {one.where}")
        found[key] = one
    return tuple(found.values())


def read_compose(path: Path) -> tuple[tuple[Service, ...], tuple[Broker, ...]]:
    """The services and the Redis of a Compose file; `${NAME:-value}` counts as its default. Raises: LabError."""
    try:
        raw = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise LabError(f"{path} is not YAML: {error}") from error
    found = raw.get("services") if isinstance(raw, dict) else None
    if not isinstance(found, dict):
        raise LabError(f"{path}: expected a mapping `services`")
    services, brokers = [], []
    for name, body in found.items():
        try:
            service = _service(str(name), body or {}, path)
        except (ValueError, AttributeError, TypeError) as error:
            raise LabError(f"{path}: service {name} is not what Compose takes: {error}") from error
        if any(word.rpartition("/")[2] in ("redis-server", "valkey-server") for word in service.command) or (
            not service.command and re.search(r"\b(redis|valkey)\b", str((body or {}).get("image", "")))
        ):
            brokers.append(_broker(service))
        else:
            services.append(service)
    return tuple(services), tuple(brokers)


def read_requirements(path: Path) -> dict[str, str]:
    """Exact pins of a requirements or lock file; lines without `==` are left out. Raises: LabError."""
    pins: dict[str, str] = {}
    for line in _text(path).splitlines():
        match = _PIN.match(line)
        if match:
            pins[match[1].lower().replace("_", "-").replace(".", "-")] = match[2]
    return pins


def _service(name: str, body: Mapping[str, Any], path: Path) -> Service:
    env: dict[str, str] = {}
    for file in _listed(body.get("env_file")):
        source = file.get("path") if isinstance(file, dict) else file
        env |= read_env_file(path.parent / str(source))
    given = body.get("environment") or {}
    pairs = given.items() if isinstance(given, dict) else (str(item).partition("=")[::2] for item in given)
    env |= {str(key): _resolved("" if value is None else value) for key, value in pairs}
    command, is_shell = _command(body)
    grace = body.get("stop_grace_period")
    scale = (body.get("deploy") or {}).get("replicas", body.get("scale", 1))
    return Service(
        environment=COMPOSE,
        name=name,
        where=f"{path.name}: {name}",
        env=env,
        command=command,
        replicas=int(count) if (count := _resolved(scale)).isdigit() else 1,
        stop_timeout_s=_seconds(_resolved(grace)) if grace is not None else DEFAULT_GRACE_S,
        is_shell=is_shell,
    )


def _command(body: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """Entry point and command as words, and whether a shell is PID 1 and stays it (no `exec`)."""
    words: list[str] = []
    for part in (body.get("entrypoint"), body.get("command")):
        if isinstance(part, list):
            words += [_resolved(word) for word in part]
        elif part is not None:
            words += shlex.split(_resolved(part))
    is_shell = len(words) > 2 and words[0].rpartition("/")[2] in ("sh", "bash", "ash", "dash") and words[1] == "-c"
    if not is_shell:
        return tuple(words), False
    script = shlex.split(words[2].replace(";", " ; "), comments=False)
    return tuple(script), script[:1] != ["exec"]


def _broker(service: Service) -> Broker:
    appendonly = service.option("--appendonly")
    return Broker(
        where=service.where,
        eviction=service.option("--maxmemory-policy") or "noeviction",
        appendonly=appendonly == "yes",
    )


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _resolved(value: object) -> str:
    text = {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    return _DEFAULTED.sub(lambda match: match[2] or "", text)


def _seconds(text: str) -> float | None:
    """A duration as Compose writes it; None for a variable that only the shell knows."""
    parts = _DURATION.findall(text)
    if parts:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return number_in(text)


def number_in(text: str) -> float | None:
    """The number that a text is; None when it is none, such as a variable that nobody has filled in."""
    try:
        return float(text)
    except ValueError:
        return None


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value.partition(" #")[0].rstrip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}") from error
