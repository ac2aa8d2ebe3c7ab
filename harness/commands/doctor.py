"""`lab doctor`: what is missing on this machine, and what is unsafe in a deployment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.demands.required import REQUIRED
from harness.doctor.deployment import (
    SERVICES,
    Broker,
    Deployment,
    Service,
    merged,
    read_compose,
    read_env_services,
    read_requirements,
)
from harness.doctor.examination import examine
from harness.doctor.finding import Finding, Severity
from harness.doctor.live_redis import ask_redis
from harness.doctor.machine import Part, look_around
from harness.errors import LabError
from harness.lab_home import PROJECT
from harness.report.live import lab_console

OWN_COMPOSE = PROJECT / "compose" / "stack.yml"
OWN_REQUIREMENTS = PROJECT / "requirements-app.lock"
OWN_QUEUES = ("default", "high")
STYLES = {Severity.UNSAFE: "bold red", Severity.NOTE: "yellow"}


def doctor(
    compose: Annotated[Path | None, typer.Option(help="a Compose file")] = None,
    env: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE or NAME/SERVICE=FILE, e.g. prod=.env.prod; repeat it")
    ] = None,
    requirements: Annotated[Path | None, typer.Option(help="a requirements or lock file with exact pins")] = None,
    redis: Annotated[str, typer.Option(help="URL of a live Redis; it is only read")] = "",
    queues: Annotated[str, typer.Option(help="queues that tasks are routed to")] = ",".join(OWN_QUEUES),
    reference: Annotated[
        bool,
        typer.Option("--reference", help="what is deployed is the reference app: hold it to its table of variables"),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False,
) -> None:
    """Look at this machine and a deployment (by default the reference stack). Exit: 0 well, 1 something is unsafe."""
    names = tuple(name.strip() for name in queues.split(",") if name.strip())
    is_own = compose is None and not env and requirements is None and not redis
    deployment = gather(
        compose=OWN_COMPOSE if is_own and OWN_COMPOSE.is_file() else compose,
        env=env or (),
        requirements=OWN_REQUIREMENTS if is_own and OWN_REQUIREMENTS.is_file() else requirements,
        redis=redis,
        queues=names,
        required=REQUIRED if is_own or reference else {},
    )
    parts, findings = look_around(), examine(deployment)
    if as_json:
        told = {"machine": [asdict(part) for part in parts], "findings": [asdict(one) for one in findings]}
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(lab_console(), parts, findings)
    is_unwell = any(part.problem and part.is_needed for part in parts)
    raise typer.Exit(int(is_unwell or any(one.severity is Severity.UNSAFE for one in findings)))


def gather(
    *,
    compose: Path | None,
    env: Sequence[str],
    requirements: Path | None,
    redis: str,
    queues: tuple[str, ...],
    required: Mapping[str, tuple[str, ...]],
) -> Deployment:
    """Read everything that was given. Raises: LabError when something cannot be read."""
    services: list[Service] = []
    brokers: list[Broker] = []
    if compose is not None:
        found, stores = read_compose(compose)
        services += found
        brokers += stores
    for given in sorted(env, key=lambda given: "/" in given.partition("=")[0]):  # a service's own file overrides
        services += _env_services(given)
    if redis:
        brokers.append(ask_redis(redis, queues=queues))
    return Deployment(
        services=merged(services),
        brokers=tuple(brokers),
        pins=read_requirements(requirements) if requirements is not None else {},
        pins_from=requirements.name if requirements is not None else "",
        queues=queues,
        required=required,
    )


def _env_services(given: str) -> tuple[Service, ...]:
    name, equals, file = given.partition("=")
    environment, _, service = name.partition("/")
    if not equals or not environment or (service and service not in SERVICES):
        raise LabError(f"expected NAME=FILE or NAME/SERVICE=FILE with one of {', '.join(SERVICES)}, seen {given!r}")
    return read_env_services(environment=environment, service=service, path=Path(file))


def _show(console: Console, parts: Sequence[Part], findings: Sequence[Finding]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="This machine", title_justify="left")
    for name in ("part", "used for", "state"):
        table.add_column(name, overflow="fold")
    for part in parts:
        table.add_row(
            part.name, part.used_for, Text(part.problem or "there", style="yellow" if part.problem else "green")
        )
    console.print(table)
    if not findings:
        console.print("The deployment: nothing unsafe found.", style="green")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="The deployment", title_justify="left")
    for name in ("", "hazard", "where", "problem", "remedy"):
        table.add_column(name, overflow="fold")
    for one in findings:
        severity = Text(str(one.severity), style=STYLES[one.severity])
        table.add_row(severity, one.hazard, one.where, one.problem, one.remedy)
    console.print(table)
