"""The environment block: one table of variables, one check that names every problem at once.

The table is the fields of `Config`: variable NAME is field `name`. Each service checks the variables that *it* needs,
so one that only the API uses may be missing from the worker. Nothing that is required has a default: a worker that
quietly falls back to a Redis on its own host is the worst incident of all, since nothing crashes.

This module imports neither Django nor Celery: gunicorn's master and the health-check commands use it too.
"""

import dataclasses
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn

from backend import parsing
from backend.service import Service, current_service, replica_name

EXIT_CONFIG = 78  # sysexits.h EX_CONFIG
STOP_MARGIN_S = 1.0  # between the end of the soft shutdown window and SIGKILL: re-queueing and closing take time

_ALL = frozenset(Service)
_API = frozenset({Service.API})
_WORKER = frozenset({Service.WORKER})
_SECRET_MIN_LENGTH = 32
_KNOWN_SECRETS = ("django-insecure", "changeme", "change-me", "insecure", "example", "password", "development")


@dataclass(frozen=True, slots=True)
class Variable:
    """How one variable is read: `flag` names a boolean field that must be true for it to be required."""

    parse: Callable[[str], Any]
    required_by: frozenset[Service]
    default: Any
    meaning: str
    flag: str | None
    may_be_blank: bool


def _required(
    parse: Callable[[str], Any],
    by: frozenset[Service],
    meaning: str,
    *,
    absent: Any = "",
    flag: str | None = None,
    secret: bool = False,
) -> Any:
    """`absent` is what the services see that do not need the variable and were not given it."""
    variable = Variable(parse, by, absent, meaning, flag, may_be_blank=False)
    return field(metadata={"variable": variable}, repr=not secret)


def _optional(
    parse: Callable[[str], Any], default: Any, meaning: str, *, may_be_blank: bool = False, secret: bool = False
) -> Any:
    variable = Variable(parse, frozenset(), default, meaning, None, may_be_blank)
    return field(metadata={"variable": variable}, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The parsed environment of one service."""

    app_env: str = _required(parsing.one_of("dev", "uat", "prod"), _ALL, "which environment this is")
    secret_key: str = _required(parsing.text, _ALL, "signs sessions and device tokens", secret=True)
    database_url: str = _required(
        parsing.url("postgres", "postgresql", needs_path=True), _ALL, "Postgres: all truth", secret=True
    )
    redis_url: str = _required(parsing.redis_url, _ALL, "Redis: broker, and cache unless CACHE_URL", secret=True)
    allowed_hosts: tuple[str, ...] = _required(parsing.csv, _API, "host names that are answered", absent=())
    operator_token: str = _required(parsing.text, _API, "what operators send as X-Operator-Token", secret=True)
    reminder_gateway_url: str = _required(parsing.url("http", "https"), _WORKER, "where reminders are posted")
    compass_db_user: str = _required(
        parsing.text, _API, "user of the legacy COMPASS database", flag="compass_enabled", secret=True
    )
    compass_enabled: bool = _optional(parsing.boolean, False, "turns the legacy COMPASS link on")
    cache_url: str = _optional(parsing.redis_url, "", "Redis of the cache (default: REDIS_URL)", secret=True)
    debug: bool = _optional(parsing.boolean, False, "Django's DEBUG; refused in prod")
    build_id: str = _optional(parsing.text, "dev", "build in health, metrics, log lines and message headers")
    log_level: str = _optional(
        parsing.one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), "INFO", "least level that is logged"
    )
    bind: str = _optional(parsing.text, "0.0.0.0:8000", "address that the API listens on")
    service_name: str = _optional(parsing.text, "", "name of this replica (default: the host's)")
    heartbeat_dir: str = _optional(parsing.text, "", "where worker and beat say that they live (default: temp folder)")
    remap_sigterm: str = _optional(
        parsing.one_of("SIGQUIT"), "", "SIGQUIT: SIGTERM starts the soft shutdown; read by billiard", may_be_blank=True
    )
    chunk_soft_limit_s: float = _optional(parsing.seconds, 45.0, "a chunk's task is asked to stop")
    chunk_hard_limit_s: float = _optional(parsing.seconds, 60.0, "a chunk's child is killed")
    task_soft_limit_s: float = _optional(parsing.seconds, 1680.0, "any other task is asked to stop")
    task_hard_limit_s: float = _optional(parsing.seconds, 1800.0, "any other task's child is killed")
    claim_timeout_s: float = _optional(parsing.seconds, 75.0, "a claim of a frozen holder may be taken over")
    client_check_interval_s: float = _optional(parsing.seconds, 5.0, "Postgres looks whether a client is still there")
    sweep_interval_s: float = _optional(parsing.seconds, 15.0, "between two sweeps for work that does not move")
    visibility_timeout_s: float = _optional(parsing.seconds, 600.0, "unacked messages come back")
    soft_shutdown_s: float = _optional(parsing.seconds, 90.0, "time for running tasks after a stop signal")
    stop_timeout_s: float = _optional(parsing.seconds, 120.0, "between SIGTERM and SIGKILL; set in the deployment too")
    chunk_retry_delays_s: tuple[float, ...] = _optional(
        parsing.seconds_list, (30.0, 90.0, 270.0), "waits before a chunk's retries after data errors"
    )
    publish_bound_s: float = _optional(parsing.seconds, 2.0, "the longest that anybody waits for a publish")
    broker_connect_timeout_s: float = _optional(parsing.seconds, 5.0, "connecting to broker or cache")
    broker_read_timeout_s: float = _optional(parsing.seconds, 5.0, "waiting for an answer of broker or cache")
    database_connect_timeout_s: float = _optional(parsing.seconds, 5.0, "connecting to Postgres; at least 2 in effect")
    statement_timeout_s: float = _optional(parsing.seconds, 30.0, "one SQL statement")
    lock_timeout_s: float = _optional(parsing.seconds, 20.0, "waiting for one lock in Postgres")
    idle_in_transaction_timeout_s: float = _optional(parsing.seconds, 30.0, "a session idle inside a transaction")
    beat_lease_s: float = _optional(parsing.seconds, 15.0, "how long a leading beat leads without renewing")
    beat_renew_s: float = _optional(parsing.seconds, 5.0, "between two renewals of beat's lease")
    overdue_s: float = _optional(parsing.seconds, 60.0, "work that has not moved for so long is a problem")
    reminder_interval_s: float = _optional(parsing.seconds, 30.0, "between two looks for reminders that are due")
    upload_abandon_s: float = _optional(parsing.seconds, 86_400.0, "an unfinished upload is given up")
    cleanup_enabled: bool = _optional(parsing.boolean, False, "turns retention on")
    cleanup_interval_s: float = _optional(parsing.seconds, 86_400.0, "between two clean-ups")
    retention_days: int = _optional(parsing.count, 90, "days that processed records are kept")
    cleanup_batch_size: int = _optional(parsing.count, 5_000, "records that one clean-up transaction deletes")
    max_interruptions: int = _optional(parsing.count, 10, "lost executions of one chunk before it is FAILED")
    chunk_fanout: int = _optional(parsing.count, 1, "chunks of one batch in flight; 1 is sequential")
    max_body_bytes: int = _optional(parsing.count, 2_097_152, "largest request body")
    max_samples_per_chunk: int = _optional(parsing.count, 1_000, "most samples in one chunk")
    rate_limit_per_minute: int = _optional(parsing.count, 6_000, "requests of one device in a minute")
    address_limit_per_minute: int = _optional(
        parsing.count, 600, "registrations, and failed authentications, of one address in a minute"
    )
    code_ttl_s: float = _optional(parsing.seconds, 600.0, "life of a verification code")
    code_attempts: int = _optional(parsing.count, 5, "tries per verification code")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one variable."""

    variable: str
    problem: str


class ConfigRefused(Exception):
    """The environment cannot be run with; holds every problem that was found."""

    def __init__(self, service: Service, problems: tuple[Problem, ...]) -> None:
        self.service = service
        self.problems = problems
        named = "; ".join(f"{each.variable}: {each.problem}" for each in problems)
        super().__init__(f"service {service.value} refuses to start: {named}")


def variables() -> Iterator[tuple[str, Variable]]:
    """The table, in order: (NAME, how it is read)."""
    for each in dataclasses.fields(Config):
        yield each.name.upper(), each.metadata["variable"]


def load(environ: Mapping[str, str], service: Service) -> Config:
    """Parse what `service` needs from `environ`.

    Raises: `ConfigRefused` with all problems, not only the first.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, variable in variables():
        raw = environ.get(name)
        values[name.lower()] = variable.default
        is_ours = not variable.required_by or service in variable.required_by
        if raw is None or (variable.may_be_blank and not raw.strip()):
            continue
        try:
            values[name.lower()] = _parsed(variable, raw.strip())
        except parsing.Malformed as error:
            if is_ours:  # what a service does not need cannot keep it from starting
                problems.append(Problem(name, f"malformed: {error}" if raw.strip() else "blank"))
    problems.extend(_missing(environ, service, values))
    config = Config(**values)
    named = {each.variable for each in problems}
    problems.extend(each for each in (*_insecure(config, service), *_disordered(config)) if each.variable not in named)
    if problems:
        raise ConfigRefused(service, tuple(problems))
    return dataclasses.replace(
        config,
        cache_url=config.cache_url or config.redis_url,
        service_name=replica_name(environ),
    )


def load_or_exit(service: Service | None = None) -> Config:
    """The configuration of this process, or one JSON line on stderr and exit status 78."""
    try:
        return load(os.environ, service or current_service())
    except ConfigRefused as refusal:
        _refuse(refusal)


@functools.cache
def config() -> Config:
    """The configuration of this process, read once; exits with status 78 when it cannot be run with."""
    return load_or_exit()


def _parsed(variable: Variable, value: str) -> Any:
    if not value:
        raise parsing.Malformed("expected a value")
    return variable.parse(value)


def _missing(environ: Mapping[str, str], service: Service, values: Mapping[str, Any]) -> Iterator[Problem]:
    for name, variable in variables():
        is_on = variable.flag is None or values[variable.flag]
        if service in variable.required_by and is_on and name not in environ:
            because = "" if variable.flag is None else f" (required because {variable.flag.upper()} is true)"
            yield Problem(name, f"missing{because}")


def _insecure(config: Config, service: Service) -> Iterator[Problem]:
    if config.app_env != "prod":
        return
    if config.debug:
        yield Problem("DEBUG", "insecure: true in prod")
    if service is Service.API and "*" in config.allowed_hosts:
        yield Problem("ALLOWED_HOSTS", "insecure: '*' in prod")
    if service is Service.API and len(config.operator_token) < _SECRET_MIN_LENGTH:
        yield Problem("OPERATOR_TOKEN", f"insecure: shorter than {_SECRET_MIN_LENGTH} characters in prod")
    if len(config.secret_key) < _SECRET_MIN_LENGTH:
        yield Problem("SECRET_KEY", f"insecure: shorter than {_SECRET_MIN_LENGTH} characters in prod")
    elif any(known in config.secret_key.lower() for known in _KNOWN_SECRETS):
        yield Problem("SECRET_KEY", "insecure: a known default in prod")


def _disordered(config: Config) -> Iterator[Problem]:
    """The order of times that the design rests on; each line is `shorter < longer`, strictly."""
    order = (
        ("LOCK_TIMEOUT_S", "IDLE_IN_TRANSACTION_TIMEOUT_S"),
        ("IDLE_IN_TRANSACTION_TIMEOUT_S", "CLAIM_TIMEOUT_S"),
        ("CLAIM_TIMEOUT_S", "VISIBILITY_TIMEOUT_S"),
        ("CHUNK_SOFT_LIMIT_S", "CHUNK_HARD_LIMIT_S"),
        ("CHUNK_HARD_LIMIT_S", "CLAIM_TIMEOUT_S"),
        ("TASK_SOFT_LIMIT_S", "TASK_HARD_LIMIT_S"),
        ("BEAT_RENEW_S", "BEAT_LEASE_S"),
    )
    for shorter, longer in order:
        low, high = getattr(config, shorter.lower()), getattr(config, longer.lower())
        if not low < high:
            yield Problem(shorter, f"order of times: {low:g} s must be below {longer}, which is {high:g} s")
    if not config.soft_shutdown_s + STOP_MARGIN_S < config.stop_timeout_s:
        window = f"{config.soft_shutdown_s:g} s plus a margin of {STOP_MARGIN_S:g} s"
        yield Problem(
            "SOFT_SHUTDOWN_S", f"order of times: {window} must be below STOP_TIMEOUT_S = {config.stop_timeout_s:g} s"
        )


def _refuse(refusal: ConfigRefused) -> NoReturn:
    """Logging is not configured yet, so the line is written by hand."""
    line = {
        "ts": datetime.now(UTC).isoformat(),
        "level": "CRITICAL",
        "service": refusal.service.value,
        "replica": replica_name(os.environ),
        "build": os.environ.get("BUILD_ID", "dev"),
        "event": "config_refused",
        "message": str(refusal),
        "problems": [dataclasses.asdict(each) for each in refusal.problems],
    }
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()
    raise SystemExit(EXIT_CONFIG)
