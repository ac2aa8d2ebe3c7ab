"""Parity: what differs between the three services of one environment, and between environments (hazards C1 to C6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.doctor.deployment import COMPOSE, SERVICES, Deployment, Service
from harness.doctor.finding import Finding

REPLICAS_OWN = frozenset({"SERVICE_NAME", "HOSTNAME", "BIND", "PORT", "WEB_CONCURRENCY"})
"""What belongs to a replica and the place that it runs in."""
OWN = REPLICAS_OWN | {"COMPASS_DB_USER"}
"""What may differ between services: the same, and what one service alone needs."""


def between_services(deployment: Deployment) -> Iterator[Finding]:
    """A variable that one service of an environment has and another has not, or has otherwise."""
    for environment in _environments(deployment):
        services = [one for one in deployment.services if one.environment == environment and one.role in SERVICES]
        names = sorted({name for one in services for name in one.env} - OWN)
        for name in names:
            having = [one for one in services if name in one.env]
            lacking = [one for one in services if name not in one.env]
            values = {one.env[name] for one in having}
            if lacking:
                problem = f"{name} is set for {_names(having)} and missing for {_names(lacking)}"
            elif len(values) > 1:
                problem = f"{name} differs between {_names(having)}"
            else:
                continue
            yield Finding("parity_services", "C6", environment, problem, "give all services one environment block")


def between_environments(deployment: Deployment) -> Iterator[Finding]:
    """A variable that a service has in one environment and not in another. Values may differ; that is their point.

    A Compose file is none of the environments: what it does not say, the shell and the env files do.
    """
    for role in SERVICES:
        by_environment = {one.environment: one for one in deployment.of(role) if one.environment != COMPOSE}
        if len(by_environment) < 2:
            continue
        for name in sorted({name for one in by_environment.values() for name in one.env} - REPLICAS_OWN):
            lacking = [environment for environment, one in by_environment.items() if name not in one.env]
            if lacking:
                having = [environment for environment in by_environment if environment not in lacking]
                yield Finding(
                    "parity_environments",
                    "C6",
                    role,
                    f"{name} is set in {', '.join(having)} and missing in {', '.join(lacking)}",
                    "set it in every environment, or remove it from all",
                )


def required(deployment: Deployment) -> Iterator[Finding]:
    """A variable that a service cannot do without, missing or blank; only where any of the table's names is set."""
    for one in deployment.services:
        names = deployment.required.get(one.role, ())
        if not any(name in one.env for name in names):
            continue
        for name in names:
            if not one.env.get(name, "").strip():
                state = "blank" if name in one.env else "missing"
                hazard = "C2" if name in one.env else "C1"
                yield Finding("required", hazard, one.where, f"{one.role} needs {name}: it is {state}", "set it")


def insecure_production(deployment: Deployment) -> Iterator[Finding]:
    """Production with DEBUG on, any host allowed, or a broker on localhost."""
    for one in deployment.services:
        if "prod" not in (one.environment.lower(), one.env.get("APP_ENV", "").lower()):
            continue
        if one.env.get("DEBUG", "").lower() in ("1", "true", "yes", "on"):
            yield Finding("insecure", "C7", one.where, "DEBUG is on in production", "unset DEBUG")
        if "*" in one.env.get("ALLOWED_HOSTS", ""):
            yield Finding("insecure", "C7", one.where, "ALLOWED_HOSTS allows any host in production", "name the hosts")
        if "localhost" in one.env.get("REDIS_URL", "") or "127.0.0.1" in one.env.get("REDIS_URL", ""):
            yield Finding("localhost_broker", "C4", one.where, "REDIS_URL points to localhost in production", "name it")


def _environments(deployment: Deployment) -> list[str]:
    return list(dict.fromkeys(one.environment for one in deployment.services))


def _names(services: Sequence[Service]) -> str:
    return ", ".join(one.name for one in services)
