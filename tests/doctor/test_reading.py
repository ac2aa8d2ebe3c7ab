"""What the doctor reads from files, from a live Redis, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import build
from harness.doctor.deployment import read_compose, read_env_file, read_requirements
from harness.drivers.lab_home import PROJECT
from harness.errors import LabError

COMPOSE = """
x-env: &env {APP_ENV: dev, REDIS_URL: "${REDIS_URL:-redis://redis:6379/0}", FLAG: true}
services:
  api: {command: [gunicorn, backend.wsgi], environment: *env}
  worker-1:
    command: sh -c 'celery -A backend worker -P gevent; true'
    environment: [APP_ENV=dev]
    env_file: worker.env
    stop_grace_period: 1m30s
  worker-2: {command: sh -c 'exec celery -A backend worker', deploy: {replicas: 3}}
  beat: {command: celery -A backend beat}
  redis: {command: redis-server --maxmemory-policy allkeys-lru --appendonly no}
"""


def test_a_compose_file(tmp_path: Path) -> None:
    (tmp_path / "worker.env").write_text("export SOFT_SHUTDOWN_S='90'  \n# a comment\n\nQUOTED=\"a b\"\n")
    (tmp_path / "stack.yml").write_text(COMPOSE)
    services, brokers = read_compose(tmp_path / "stack.yml")
    by_name = {one.name: one for one in services}
    assert {name: one.role for name, one in by_name.items()} == {
        "api": "api",
        "worker-1": "worker",
        "worker-2": "worker",
        "beat": "beat",
    }
    assert by_name["api"].env == {"APP_ENV": "dev", "REDIS_URL": "redis://redis:6379/0", "FLAG": "true"}
    assert by_name["worker-1"].env == {"SOFT_SHUTDOWN_S": "90", "QUOTED": "a b", "APP_ENV": "dev"}
    assert by_name["worker-1"].stop_timeout_s == 90.0
    assert by_name["worker-1"].is_shell
    assert by_name["worker-1"].option("-P", "--pool") == "gevent"
    assert by_name["worker-2"].stop_timeout_s == 10.0
    assert not by_name["worker-2"].is_shell
    assert by_name["worker-2"].replicas == 3
    assert [(one.eviction, one.appendonly) for one in brokers] == [("allkeys-lru", False)]


def test_a_line_that_is_no_assignment(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_text("GOOD=1\nBAD\n")
    with pytest.raises(LabError, match=r"x\.env:2: expected NAME=value"):
        read_env_file(tmp_path / "x.env")


def test_a_lock_file(tmp_path: Path) -> None:
    (tmp_path / "app.lock").write_text(
        "celery[redis]==5.6.3 \\\n    --hash=sha256:ab==\nDjango_Celery.Beat==2.9.0 ; python_version > '3'\nkombu>=5\n"
    )
    assert read_requirements(tmp_path / "app.lock") == {"celery": "5.6.3", "django-celery-beat": "2.9.0"}


def test_the_reference_stack_is_well() -> None:
    ran = CliRunner().invoke(build(), ["doctor", "--json"])
    assert [one["problem"] for one in json.loads(ran.stdout)["findings"] if one["severity"] == "unsafe"] == []
    assert ran.exit_code == 0


def test_drift_between_environments_is_exit_1(tmp_path: Path) -> None:
    (tmp_path / "dev").write_text("A=1\nB=2\n")
    (tmp_path / "prod").write_text("A=1\n")
    ran = CliRunner().invoke(
        build(), ["doctor", "--env", f"dev={tmp_path / 'dev'}", "--env", f"prod={tmp_path / 'prod'}", "--json"]
    )
    assert ran.exit_code == 1
    assert [one["problem"] for one in json.loads(ran.stdout)["findings"]] == [
        "B is set in dev and missing in prod"
    ] * len(("api", "worker", "beat"))


def test_env_files_of_single_services(tmp_path: Path) -> None:
    (tmp_path / "api").write_text("LEGACY_DB_USER=me\nA=1\n")
    (tmp_path / "worker").write_text("A=1\n")
    ran = CliRunner().invoke(
        build(),
        ["doctor", "--env", f"dev/api={tmp_path / 'api'}", "--env", f"dev/worker={tmp_path / 'worker'}", "--json"],
    )
    assert ran.exit_code == 1
    assert [one["problem"] for one in json.loads(ran.stdout)["findings"]] == [
        "LEGACY_DB_USER is set for api and missing for worker"
    ]


def test_the_lock_of_the_app_is_read() -> None:
    assert read_requirements(PROJECT / "requirements-app.lock")["celery"]
