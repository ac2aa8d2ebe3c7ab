"""The Docker engine: whether one answers with all that the lab needs, and how the lab talks to it."""

from __future__ import annotations

import os
import socket
import subprocess
from functools import partial
from pathlib import Path

import docker
from docker.errors import DockerException

from harness.errors import MissingCapability

LAB_LABEL = "chaoslab"
"""On every container, network and volume of a stack; its value is the stack's name."""
HOME_LABEL = "chaoslab.home"
"""Beside it: the directory of the lab that made it, so that labs of several clones on one engine spare each other."""
UNIX = "unix://"
DEFAULT_HOST = f"{UNIX}/var/run/docker.sock"
ANSWER_TIMEOUT_S = 10
CALL_TIMEOUT_S = 150
"""One call of the engine's API: above the longest stop that an API call of ours waits for."""


def labels(name: str, *, home: Path) -> dict[str, str]:
    """What a lab with its state in `home` marks its stack `name` with."""
    return {LAB_LABEL: name, HOME_LABEL: str(home)}


def labelled(label: str, value: str) -> dict[str, str | list[str] | bool]:
    """A filter for what carries this label with this value."""
    return {"label": f"{label}={value}"}


connect = partial(docker.from_env, timeout=CALL_TIMEOUT_S)


def host() -> str:
    """Where the engine is that the SDK talks to. It knows nothing of the contexts of the `docker` command."""
    return os.environ.get("DOCKER_HOST") or DEFAULT_HOST


def docker_env() -> dict[str, str]:
    """The environment of every `docker` command of the lab: whatever context is in use, it is told the SDK's engine."""
    return {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"} | {"DOCKER_HOST": host()}


def engine_problem() -> str | None:
    """What keeps the containers driver from working here, with the next step; None when nothing does."""
    refused = _refused()
    if refused is not None:
        return _no_engine(refused)
    try:
        client = docker.from_env(timeout=ANSWER_TIMEOUT_S)
        try:
            client.ping()
        finally:
            client.close()
    except DockerException as error:
        return _no_engine(error)
    for plugin in ("compose", "buildx"):
        try:
            found = subprocess.run(
                ["docker", plugin, "version"], capture_output=True, timeout=ANSWER_TIMEOUT_S, env=docker_env()
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"the docker command does not run ({error}): install it, or use DRIVER=processes"
        if found.returncode != 0:
            return f"`docker {plugin}` is missing: install the plugin (.ci/engine does on Debian)"
    return None


def _refused() -> OSError | None:
    """Why nobody listens on the engine's socket. Asked first: the SDK leaves its own socket open when refused."""
    path = host().removeprefix(UNIX)
    if not path.startswith("/"):
        return None
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(ANSWER_TIMEOUT_S)
        try:
            probe.connect(path)
        except OSError as error:
            return error
    return None


def _no_engine(error: Exception) -> str:
    return f"no Docker engine answers ({error}): start one (.ci/engine does on Debian), or use DRIVER=processes"


def require_engine() -> None:
    """Raises: MissingCapability when the containers driver cannot work here."""
    problem = engine_problem()
    if problem is not None:
        raise MissingCapability(problem)
