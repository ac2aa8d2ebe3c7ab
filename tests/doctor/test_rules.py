"""Every rule of the doctor: silent about a sound deployment, and naming what is wrong when it is made wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from harness.demands.required import REQUIRED
from harness.doctor.deployment import Broker, Deployment, Service
from harness.doctor.examination import examine
from harness.doctor.versions import BAD, BadVersions

ENV: Mapping[str, str] = {
    "APP_ENV": "prod",
    "SECRET_KEY": "x" * 50,
    "DATABASE_URL": "postgresql://app@db/app",
    "REDIS_URL": "redis://broker:6379/0",
    "ALLOWED_HOSTS": "api.example.org",
    "OPERATOR_TOKEN": "t",
    "REMINDER_GATEWAY_URL": "https://gateway.example.org",
    "REMAP_SIGTERM": "SIGQUIT",
    "SOFT_SHUTDOWN_S": "90",
    "STOP_TIMEOUT_S": "120",
    "CHUNK_HARD_LIMIT_S": "60",
    "TASK_HARD_LIMIT_S": "1800",
    "VISIBILITY_TIMEOUT_S": "600",
}
COMMANDS = {
    "api": ("gunicorn", "backend.wsgi"),
    "worker": ("celery", "-A", "backend", "worker", "-c", "4", "-Q", "default,high"),
    "beat": ("celery", "-A", "backend", "beat"),
}


def sound() -> Deployment:
    """Nothing is wrong with it."""
    services = tuple(
        Service(environment="prod", name=name, where=name, env=ENV, command=command, stop_timeout_s=120.0)
        for name, command in COMMANDS.items()
    )
    broker = Broker(where="redis", eviction="noeviction", appendonly=True, waiting={"default": 3}, consumers=2)
    pins = {"celery": "5.6.3", "kombu": "5.6.2", "billiard": "4.2.4", "redis": "6.4.0", "packaging": "26.4"}
    return Deployment(
        services=services,
        brokers=(broker,),
        pins=pins,
        pins_from="app.lock",
        queues=("default", "high"),
        required=REQUIRED,
    )


def changed(role: str, change: Callable[[Service], Service]) -> Deployment:
    """The sound one with one service changed."""
    base = sound()
    return replace(base, services=tuple(change(one) if one.role == role else one for one in base.services))


def with_env(role: str, **changes: str | None) -> Deployment:
    """One service's variables changed; None removes one."""

    def change(one: Service) -> Service:
        env = {**one.env, **{name: value for name, value in changes.items() if value is not None}}
        return replace(one, env={name: value for name, value in env.items() if changes.get(name, "") is not None})

    return changed(role, change)


def everywhere(**changes: str | None) -> Deployment:
    """Every service's variables changed."""
    base = sound()
    env = {name: value for name, value in {**ENV, **changes}.items() if value is not None}
    return replace(base, services=tuple(replace(one, env=env) for one in base.services))


def with_command(role: str, *words: str) -> Deployment:
    """One service's command with more words."""
    return changed(role, lambda one: replace(one, command=(*one.command, *words)))


def with_broker(**changes: object) -> Deployment:
    """The Redis changed."""
    base = sound()
    return replace(base, brokers=(replace(base.brokers[0], **changes),))  # type: ignore[arg-type]  # names are checked by replace


def second_environment() -> Deployment:
    """A second environment that lacks a variable in all its services."""
    env = {name: value for name, value in ENV.items() if name != "SOFT_SHUTDOWN_S"} | {"APP_ENV": "uat"}
    base = sound()
    more = tuple(replace(one, environment="uat", env=env, where=f"uat {one.name}") for one in base.services)
    return replace(base, services=(*base.services, *more))


CASES: tuple[tuple[str, str, Deployment], ...] = (
    ("parity_services", "C6", with_env("worker", LOG_LEVEL="DEBUG")),
    ("parity_services", "C6", with_env("beat", VISIBILITY_TIMEOUT_S="700")),
    ("parity_environments", "C6", second_environment()),
    ("required", "C1", everywhere(DATABASE_URL=None)),
    ("required", "C2", everywhere(SECRET_KEY="  ")),
    ("insecure", "C7", everywhere(DEBUG="true")),
    ("insecure", "C7", everywhere(ALLOWED_HOSTS="*")),
    ("localhost_broker", "C4", everywhere(REDIS_URL="redis://localhost:6379/0")),
    ("inert_remap", "W3", everywhere(BILLIARD_REMAP_SIGTERM="SIGQUIT")),
    ("unused_soft_window", "W3", everywhere(REMAP_SIGTERM=None)),
    ("soft_window_too_long", "W3", everywhere(SOFT_SHUTDOWN_S="120")),
    ("soft_window_too_long", "W3", changed("worker", lambda one: replace(one, stop_timeout_s=10.0))),
    ("outlasted_stop", "W2", everywhere(REMAP_SIGTERM=None, SOFT_SHUTDOWN_S=None, CHUNK_HARD_LIMIT_S="120")),
    ("limit_above_visibility", "T1", everywhere(CHUNK_HARD_LIMIT_S="600")),
    ("limit_above_visibility", "T1", with_command("worker", "--time-limit=900")),
    ("embedded_beat", "S8", with_command("worker", "-B")),
    ("several_beats", "S1", changed("beat", lambda one: replace(one, replicas=2))),
    ("other_pool", "W12", with_command("worker", "-P", "gevent")),
    ("other_pool", "W12", with_command("worker", "--pool=threads")),
    ("shell_as_main", "W11", changed("worker", lambda one: replace(one, is_shell=True))),
    ("queue_without_consumer", "C5", with_command("worker", "-Q", "default")),
    ("queue_without_consumer", "C5", with_broker(consumers=0)),
    ("eviction", "B13", with_broker(eviction="allkeys-lru")),
    ("not_durable", "B2", with_broker(appendonly=False)),
)


def test_nothing_is_found_in_a_sound_deployment() -> None:
    unsafe = [finding for finding in examine(sound()) if finding.severity == "unsafe"]
    assert unsafe == []


@pytest.mark.parametrize(
    ("rule", "hazard", "deployment"), CASES, ids=[f"{rule}-{number}" for number, (rule, _, _) in enumerate(CASES)]
)
def test_what_is_wrong_is_named(rule: str, hazard: str, deployment: Deployment) -> None:
    sound_ones = {finding.rule for finding in examine(sound())}
    found = [finding for finding in examine(deployment) if finding.rule not in sound_ones]
    assert {(finding.rule, finding.hazard) for finding in found} == {(rule, hazard)}


@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
def test_bad_versions_are_named(bad: BadVersions) -> None:
    assert bad.name in {finding.rule for finding in examine(Deployment(pins=_pins(bad, is_bad=True)))}
    assert bad.name not in {finding.rule for finding in examine(Deployment(pins=_pins(bad, is_bad=False)))}


def _pins(bad: BadVersions, *, is_bad: bool) -> dict[str, str]:
    """Every package at the lowest bad version, or the first one at the first version that is not bad any more."""
    pins = {name: low or "0.1" for name, (low, _) in bad.packages.items() if not name.startswith("!")}
    if not is_bad:
        bounded = next(name for name, (_, high) in bad.packages.items() if high)
        pins[bounded] = bad.packages[bounded][1]
    return pins


def test_versions_are_compared_as_numbers() -> None:
    """5.10 is newer than 5.4, and 5.7 is 5.7.0."""
    rules = {finding.rule for finding in examine(Deployment(pins={"kombu": "5.10.0"}))}
    assert "deaf_after_reconnect" not in rules
    assert "crash_on_broker_loss" in {one.rule for one in examine(Deployment(pins={"celery": "5.7"}))}
