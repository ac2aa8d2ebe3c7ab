"""What the doctor reads from files, from a live Redis, and its exit code."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import build
from harness.commands.doctor import gather
from harness.doctor.deployment import Deployment, read_compose, read_env_file, read_requirements
from harness.doctor.examination import examine
from harness.errors import LabError
from harness.lab_home import PROJECT

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


def test_what_an_environment_says_for_all_and_for_one_service(tmp_path: Path) -> None:
    """One service, whatever the order in which its files were given; its own file overrides."""
    (tmp_path / "all").write_text("A=1\nB=1\n")
    (tmp_path / "worker").write_text("B=1\nC=3\n")
    files = [f"prod/worker={tmp_path / 'worker'}", f"prod={tmp_path / 'all'}"]
    found = gather(compose=None, env=files, requirements=None, redis="", queues=(), required={})
    assert [(one.name, one.env) for one in found.services] == [
        ("api", {"A": "1", "B": "1"}),
        ("worker", {"A": "1", "B": "1", "C": "3"}),
        ("beat", {"A": "1", "B": "1"}),
    ]
    assert {one.problem for one in examine(found)} == {"C is set for worker and missing for api, beat"}


def test_numbers_that_only_the_shell_knows(tmp_path: Path) -> None:
    (tmp_path / "stack.yml").write_text(
        "services:\n  worker:\n    command: celery -A backend worker --time-limit=${LIMIT:?}\n"
        '    deploy: {replicas: "${WORKERS}"}\n    stop_grace_period: ${GRACE}\n'
        "  beat: {command: celery -A backend beat, deploy: {replicas: $BEATS}}\n"
        "  api: {command: gunicorn backend.wsgi, deploy: {replicas: '${APIS:-3}'}, stop_grace_period: '${GRACE:-1m}'}\n"
    )
    services, _ = read_compose(tmp_path / "stack.yml")
    assert [(one.replicas, one.stop_timeout_s) for one in services] == [(1, None), (1, 10.0), (3, 60.0)]
    assert examine(Deployment(services=services)) == ()


@pytest.mark.parametrize("body", ["[]", "{command: 'sh -c \"unended'}"], ids=["no mapping", "a quote that never ends"])
def test_what_is_no_service(body: str, tmp_path: Path) -> None:
    (tmp_path / "stack.yml").write_text(f"services:\n  api: {body}\n  beat: 3\n")
    with pytest.raises(LabError, match=r"service (api|beat) is not what Compose takes"):
        read_compose(tmp_path / "stack.yml")


ELSEWHERE = """
x-env: &env {APP_ENV: "${APP_ENV}", DATABASE_URL: "${DATABASE_URL}", REDIS_URL: "${REDIS_URL}"}
services:
  web: {command: gunicorn shop.wsgi, environment: {<<: *env, SERVICE_NAME: web}, deploy: {replicas: "${WEBS}"}}
  worker: {command: "celery -A shop worker -Q default,high", environment: {<<: *env, SERVICE_NAME: worker}}
  beat: {command: celery -A shop beat, environment: {<<: *env, SERVICE_NAME: beat}}
  redis: {image: "redis:8", command: redis-server --appendonly yes --maxmemory-policy noeviction}
"""


def test_the_step_that_is_recommended_to_other_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/ci.md's own command: it passes in a project where nothing is wrong, and fails for what is."""
    [command] = re.findall(r"lab/\.venv/bin/lab (doctor .*?)\n\n", (PROJECT / "docs" / "ci.md").read_text(), re.DOTALL)
    words = shlex.split(command.split("\n      #")[0].replace("\\\n", " "))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yml").write_text(ELSEWHERE)
    (tmp_path / "requirements.txt").write_text("django==5.2.8\n")
    for name in ("dev", "uat", "prod"):
        text = f"APP_ENV={name}\nDATABASE_URL=postgresql://db/{name}\nREDIS_URL=redis://{name}:6379/0\nPORT=80\n"
        (tmp_path / f".env.{name}").write_text(text if name != "dev" else text.replace("PORT=80\n", ""))
    ran = CliRunner().invoke(build(), [*words, "--json"])
    assert json.loads(ran.stdout)["findings"] == []
    assert ran.exit_code == 0
    (tmp_path / ".env.prod").write_text("APP_ENV=prod\nREDIS_URL=redis://prod:6379/0\n")
    assert "DATABASE_URL is set in dev, uat and missing in prod" in CliRunner().invoke(build(), words).stdout


@pytest.mark.parametrize(
    ("options", "code"), [([], 0), (["--reference"], 1)], ids=["another app", "a fork of the lab's"]
)
def test_the_table_of_the_reference_app(options: list[str], code: int, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("REDIS_URL=redis://broker:6379/0\n")
    ran = CliRunner().invoke(build(), ["doctor", "--env", f"dev={tmp_path / 'env'}", *options, "--json"])
    assert ran.exit_code == code
    assert ("api needs SECRET_KEY: it is missing" in ran.stdout) is bool(options)


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
