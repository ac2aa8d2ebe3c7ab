"""M1: which health check sees what."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import httpx

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.demands.demands import await_imports, expect_unfit
from harness.drivers.service_health import CHECK_TIMEOUT_S
from harness.errors import WaitTimeout
from harness.experiment.experiment import Experiment
from harness.faults.broker import KillRedis
from harness.faults.postgres import KillPostgres
from harness.faults.process import FreezeReplica
from harness.rows.row import Load, row
from harness.times import LAB, Recovery
from harness.tls import trusted
from scenarios.defects import ready_asks_redis, ready_without_database, worker_health_lies

FEW = Load(phones=4, samples=1_600, planted_phones=4, planted_samples=1_600)
HUNG_S = 5.0 + 2 * (LAB.broker_connect_timeout_s + 2 * LAB.broker_read_timeout_s)
"""A worker's health check calls it hung after so long without a turn of its loop."""
READINGS: Final = 8
READ_EVERY_S = 0.3


@row("M1", variant="worker", title="a worker frozen whole", recovery=Recovery.HOLDER_CUT_OFF, load=FEW,
     defects=(worker_health_lies.DEFECT.expecting(Kind.SILENT),))  # fmt: skip
def test_m1_worker_hangs(x: Experiment) -> None:
    """Its own health check notices, though every process is there; the other worker's stays well."""
    x.work()
    other, hung = x.stack.replicas("worker")
    frozen = x.inject(FreezeReplica(hung))
    expect_unfit(x, hung, bound_s=HUNG_S)
    if x.faulted:
        _expect_fit(x, other, while_frozen=hung)
    x.heal(frozen)


@row("M1", variant="postgres", title="Postgres away: readiness", recovery=Recovery.STORE_AWAY, load=FEW,
     defects=(ready_without_database.DEFECT.expecting(Kind.SILENT),))  # fmt: skip
def test_m1_database_away(x: Experiment) -> None:
    """No replica says that it can serve, and each stays alive: its being replaced would bring no database back."""
    x.work()
    await_imports(x)
    killed = x.inject(KillPostgres())
    if killed is None:
        return
    try:
        wait_for(
            lambda: set(_answers(x, "/health/").values()) == {HTTPStatus.SERVICE_UNAVAILABLE},
            awaiting="503 of every replica",
            timeout_s=lambda: CHECK_TIMEOUT_S * x.crowding(),
        )
    except WaitTimeout as error:
        x.phases.note(str(error))
    away = "while the database is away"
    _expect_each(x, "/health/", HTTPStatus.SERVICE_UNAVAILABLE, away, otherwise=Kind.SILENT)
    _expect_each(x, "/health/live", HTTPStatus.OK, away, otherwise=Kind.FALSE_ALARM)
    x.heal(killed)


@row("M1", variant="redis", title="Redis away: readiness", recovery=Recovery.STORE_AWAY, load=FEW,
     defects=(ready_asks_redis.DEFECT.expecting(Kind.FALSE_ALARM),))  # fmt: skip
def test_m1_redis_away(x: Experiment) -> None:
    """Every replica stays ready: uploads are accepted all the same, and no replica may be taken out for it."""
    x.work()
    await_imports(x)
    killed = x.inject(KillRedis())
    if killed is None:
        return
    for _ in range(READINGS):
        _expect_each(x, "/health/", HTTPStatus.OK, "while Redis is away", otherwise=Kind.FALSE_ALARM)
        x.hold(READ_EVERY_S)
    x.heal(killed)


def _expect_fit(x: Experiment, replica: str, *, while_frozen: str) -> None:
    """It passes its health check, if not at once then soon: on a crowded machine a check itself can run out of time."""
    try:
        wait_for(
            lambda: x.stack.is_fit(replica),
            awaiting=f"{replica} to pass its health check",
            timeout_s=lambda: HUNG_S * x.crowding(),
        )
    except WaitTimeout as error:
        x.expect(
            False,
            otherwise=Kind.FALSE_ALARM,
            summary=f"though only {while_frozen} was frozen: {error}",
            ids={"service": replica},
        )


def _expect_each(x: Experiment, path: str, wanted: HTTPStatus, meanwhile: str, *, otherwise: Kind) -> None:
    """Every api replica answers so."""
    found = _answers(x, path)
    x.witness(f"{path} {meanwhile}", found)
    for replica, status in found.items():
        x.expect(
            status == wanted,
            otherwise=otherwise,
            summary=f"{path} of {replica} answers {status} {meanwhile}, not {wanted.value}",
            ids={"service": replica},
        )


def _answers(x: Experiment, path: str) -> Mapping[str, int | None]:
    """The status with which each api replica answers; None for one that gives no answer in time."""
    found: dict[str, int | None] = {}
    for replica, url in x.stack.api_urls().items():
        try:
            answer = httpx.get(f"{url.rstrip('/')}{path}", timeout=CHECK_TIMEOUT_S * x.crowding(), verify=trusted())
        except httpx.HTTPError:
            found[replica] = None
        else:
            found[replica] = answer.status_code
    return found
