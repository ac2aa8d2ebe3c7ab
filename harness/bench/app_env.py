"""The environment block of app processes that benchmarks start: production times, stores of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.errors import DriverError
from harness.lab_home import PROJECT

APP = PROJECT / "app"
TOOL_TIMEOUT_S = 300.0


def app_env(*, dsn: str, redis_url: str) -> dict[str, str]:
    """What every service of the app needs; times are the defaults."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": f"{APP}:{PROJECT}",
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "backend.settings",
        "APP_ENV": "dev",
        "SECRET_KEY": "a-key-for-benchmarks-only-0123456789abcdef",
        "ALLOWED_HOSTS": "127.0.0.1",
        "OPERATOR_TOKEN": "operator-for-benchmarks",
        "REMINDER_GATEWAY_URL": "http://127.0.0.1:9/reminders",
        "SERVICE_NAME": "bench-1",
        "DATABASE_URL": dsn,
        "REDIS_URL": redis_url,
        "LOG_LEVEL": "INFO",
    }


def run_app(command: list[str], *, env: Mapping[str, str], cwd: Path = APP, timeout_s: float = TOOL_TIMEOUT_S) -> str:
    """Run a Python program of the app to its end; its standard output. Raises: DriverError with what it said."""
    done = subprocess.run(
        [sys.executable, *command],
        env=dict(env),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode != 0:
        raise DriverError(f"{' '.join(command)} exited {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def migrate(env: Mapping[str, str]) -> None:
    """Make the app's tables. Raises: DriverError."""
    run_app(["manage.py", "migrate_stack"], env=env)
