"""Whether a replica is fit, by its service's own health check, asked from outside."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from http import HTTPStatus

import httpx

from harness.tls import trusted

CHECK_TIMEOUT_S = 5.0
HEALTH_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "worker": ("-m", "backend.worker_health"),
    "beat": ("-m", "backend.beat_health"),
}


def is_api_healthy(url: str) -> bool:
    """Whether `url`/health/ answers 200 in time."""
    try:
        return httpx.get(f"{url}/health/", timeout=CHECK_TIMEOUT_S, verify=trusted()).status_code == HTTPStatus.OK
    except httpx.HTTPError:
        return False


def is_command_healthy(service: str, *, python: str, env: Mapping[str, str]) -> bool:
    """Whether the service's health command, run with the replica's environment, exits 0 in time."""
    try:
        done = subprocess.run(
            [python, *HEALTH_COMMANDS[service]],
            env=dict(env),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CHECK_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
