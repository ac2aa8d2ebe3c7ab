"""The environment table: every problem is named at once, with the service; the order of times is held."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.env import Config, ConfigRefused, load, variables
from backend.service import Service, service_of

APP = Path(__file__).parents[2] / "app"
GOOD = {
    "APP_ENV": "dev",
    "SECRET_KEY": "0123456789-0123456789-0123456789-0123456789",
    "DATABASE_URL": "postgresql://u:p@db:5432/app",
    "REDIS_URL": "redis://redis:6379/0",
    "ALLOWED_HOSTS": "api.internal",
    "OPERATOR_TOKEN": "operator-0123456789-0123456789-0123456789",
    "REMINDER_GATEWAY_URL": "http://gateway/send",
}
# The test's own copy of who needs what: the app's table is what is being tested.
NEEDS = {
    "APP_ENV": {"api", "worker", "beat", "migrate"},
    "SECRET_KEY": {"api", "worker", "beat", "migrate"},
    "DATABASE_URL": {"api", "worker", "beat", "migrate"},
    "REDIS_URL": {"api", "worker", "beat", "migrate"},
    "ALLOWED_HOSTS": {"api"},
    "OPERATOR_TOKEN": {"api"},
    "REMINDER_GATEWAY_URL": {"worker"},
}


def problems_of(environ: dict[str, str], service: Service) -> dict[str, str]:
    """Variable → problem; empty when it is accepted."""
    try:
        load(environ, service)
    except ConfigRefused as refusal:
        problems = {each.variable: each.problem for each in refusal.problems}
        return problems if refusal.service is service else {"service": refusal.service.value}
    return {}


@pytest.mark.parametrize("service", list(Service), ids=str)
def test_good_environment_is_accepted(service: Service) -> None:
    assert problems_of(GOOD, service) == {}


@pytest.mark.parametrize("blank", [False, True], ids=["missing", "blank"])
@pytest.mark.parametrize("service", list(Service), ids=str)
@pytest.mark.parametrize("variable", list(NEEDS))
def test_required_variable(variable: str, service: Service, blank: bool) -> None:
    environ = {name: value for name, value in GOOD.items() if name != variable}
    if blank:
        environ[variable] = "  "
    is_needed = service.value in NEEDS[variable]
    expected = {variable: "blank" if blank else "missing"} if is_needed else {}
    assert problems_of(environ, service) == expected


def test_all_problems_at_once() -> None:
    environ = {"APP_ENV": "staging", "REDIS_URL": "localhost", "SWEEP_INTERVAL_S": "soon", "DEBUG": "maybe"}
    found = problems_of(environ, Service.WORKER)
    assert set(found) == {
        "APP_ENV", "REDIS_URL", "SWEEP_INTERVAL_S", "DEBUG", "SECRET_KEY", "DATABASE_URL", "REMINDER_GATEWAY_URL",
    }  # fmt: skip


MALFORMED = {
    "APP_ENV": "production",
    "DATABASE_URL": "mysql://db/app",
    "REDIS_URL": "redis://redis:6379/zero",
    "REMINDER_GATEWAY_URL": "gateway/send",
    "CACHE_URL": "http://redis",
    "DEBUG": "1",
    "LOG_LEVEL": "LOUD",
    "ALLOWED_HOSTS": "a,,b",
    "CHUNK_RETRY_DELAYS_S": "1,x",
    "CLAIM_TIMEOUT_S": "nan",
    "SWEEP_INTERVAL_S": "0",
    "CHUNK_FANOUT": "0",
    "REMAP_SIGTERM": "SIGQIT",
    "COMPASS_ENABLED": "yes",
}


@pytest.mark.parametrize("variable", list(MALFORMED))
def test_malformed(variable: str) -> None:
    services = [service for service in Service if service.value in NEEDS.get(variable, {"api", "worker"})]
    for service in services:
        found = problems_of({**GOOD, variable: MALFORMED[variable]}, service)
        assert set(found) == {variable}
        assert MALFORMED[variable] not in found[variable]


def test_database_without_a_name_is_malformed() -> None:
    assert set(problems_of({**GOOD, "DATABASE_URL": "postgresql://db:5432/"}, Service.BEAT)) == {"DATABASE_URL"}


@pytest.mark.parametrize("service", list(Service), ids=str)
def test_flagged_variable_is_required_by_the_api_only(service: Service) -> None:
    found = problems_of({**GOOD, "COMPASS_ENABLED": "true"}, service)
    assert set(found) == ({"COMPASS_DB_USER"} if service is Service.API else set())


INSECURE = {
    "DEBUG": "true",
    "ALLOWED_HOSTS": "a,*",
    "SECRET_KEY": "short",
    "OPERATOR_TOKEN": "short",
    "SECRET_KEY ": "django-insecure-0123456789-0123456789-0123456789",
}


@pytest.mark.parametrize("variable", list(INSECURE))
def test_insecure_in_prod_only(variable: str) -> None:
    change = {variable.strip(): INSECURE[variable]}
    assert set(problems_of({**GOOD, "APP_ENV": "prod", **change}, Service.API)) == {variable.strip()}
    assert problems_of({**GOOD, **change}, Service.API) == {}


DISORDER = [
    {"LOCK_TIMEOUT_S": "30"},
    {"IDLE_IN_TRANSACTION_TIMEOUT_S": "75"},
    {"VISIBILITY_TIMEOUT_S": "75"},
    {"CHUNK_SOFT_LIMIT_S": "60"},
    {"CHUNK_HARD_LIMIT_S": "75"},
    {"SOFT_SHUTDOWN_S": "119"},
    {"TASK_SOFT_LIMIT_S": "1800"},
    {"BEAT_RENEW_S": "15"},
]


@pytest.mark.parametrize("change", DISORDER, ids=[next(iter(each)) for each in DISORDER])
def test_order_of_times(change: dict[str, str]) -> None:
    found = problems_of({**GOOD, **change}, Service.WORKER)
    assert len(found) == 1
    [problem] = found.values()
    assert problem.startswith("order of times")


def test_secrets_are_not_in_the_representation() -> None:
    shown = repr(load(GOOD, Service.API))
    assert [value for name, value in GOOD.items() if name in SECRETS and value in shown] == []


SECRETS = {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "OPERATOR_TOKEN"}


def test_every_field_is_a_variable() -> None:
    assert [name for name, _ in variables()] == [field.name.upper() for field in dataclasses.fields(Config)]


COMMANDS = {
    ("/usr/bin/gunicorn", "backend.wsgi"): Service.API,
    ("/lib/python/gunicorn/__main__.py", "backend.wsgi"): Service.API,
    ("/usr/bin/celery", "-A", "backend", "worker", "-c", "4"): Service.WORKER,
    ("/lib/python/celery/__main__.py", "-A", "backend", "beat"): Service.BEAT,
    ("manage.py", "migrate_stack"): Service.MIGRATE,
}


@pytest.mark.parametrize("argv", list(COMMANDS), ids=lambda argv: " ".join(argv[-2:]))
def test_service_of_a_command(argv: tuple[str, ...]) -> None:
    assert service_of(argv) is COMMANDS[argv]


STARTS = {
    "api": ["-m", "gunicorn", "backend.wsgi", "--bind", "127.0.0.1:0"],
    "worker": ["-m", "celery", "-A", "backend", "worker"],
    "beat": ["-m", "celery", "-A", "backend", "beat"],
    "migrate": ["manage.py", "migrate_stack"],
}


@pytest.mark.parametrize("service", list(STARTS))
def test_command_exits_78_with_one_line(service: str) -> None:
    environ = {name: value for name, value in GOOD.items() if name != "REDIS_URL"}
    environ |= {"PATH": os.environ["PATH"], "SERVICE_NAME": f"{service}-7"}
    ended = subprocess.run(
        [sys.executable, *STARTS[service]], cwd=APP, env=environ, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 78, ended.stderr
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert len(lines) == 1
    assert (lines[0]["event"], lines[0]["service"], lines[0]["replica"]) == ("config_refused", service, f"{service}-7")
    assert lines[0]["problems"] == [{"variable": "REDIS_URL", "problem": "missing"}]
    assert "REDIS_URL" in lines[0]["message"]
