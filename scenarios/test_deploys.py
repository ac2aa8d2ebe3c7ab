"""D: deploys."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from harness.anomaly import Kind
from harness.errors import Inconclusive, WaitTimeout
from harness.experiment.experiment import Experiment
from harness.faults.process import StopReplica
from harness.ledger import noted_ops
from harness.receipt import Injected
from harness.rows.row import row
from harness.times import LAB, Recovery
from scenarios.defects import early_ack

PACE_S = 0.5
"""Between two requests of a phone, so that phones are at it for as long as the deploy."""


@row(
    "D1",
    title="rolling deploy under load: every replica stopped, killed when its time is up, and started anew, in turn",
    recovery=Recovery.HOLDER_DIED,
    hold_s=LAB.soft_shutdown_s / 2,
    defects=(early_ack.DEFECT.expecting(Kind.LOST),),
)
def test_d1_rolling_deploy(x: Experiment) -> None:
    """Half of each service stays up (of beat nothing); nothing is lost or doubled, and no request fails uncleanly."""
    x.slow_down(PACE_S)
    parked = x.park_chunk()

    def release() -> None:
        x.hold(x.row.hold_s)
        x.release(parked)

    workers = [each for each in x.stack.replicas("worker") if each != parked.replica]
    _replace(x, parked.replica, meanwhile=release)
    for each in x.stack.replicas("api"):
        _replace_behind_balancer(x, each)
    for each in (*workers, *x.stack.replicas("beat")):
        _replace(x, each)
    x.await_uploads()
    if x.faulted:
        x.later.append(lambda: _see_requests(x))


def _replace(x: Experiment, replica: str, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    """As ECS replaces a task: SIGTERM, the stop timeout, SIGKILL; the next one only when the new one is healthy."""
    stopping = x.inject(StopReplica(replica, timeout_s=x.stack.spec.stop_timeout_s), wait=False)
    meanwhile()
    x.await_bite(stopping)
    x.heal(stopping)


def _replace_behind_balancer(x: Experiment, replica: str) -> None:
    """The load balancer lets go of the task first, and takes the new one when it is healthy."""
    try:
        x.balancer.drain(replica, timeout_s=x.habits.request_timeout_s)
    except WaitTimeout as error:
        raise Inconclusive(str(error)) from error
    _replace(x, replica)
    x.balancer.register(replica, x.stack.api_urls()[replica])


def _see_requests(x: Experiment) -> None:
    """Phones were served while each API replica was away, and none of their requests ended but by an answer.

    Not counted are those pinned to the replica that was away: they went past the load balancer.
    """
    deploy = x.harm.injected()
    away = [each for each in deploy if each.target in x.stack.replicas("api")]
    served = dict.fromkeys((each.target for each in away), 0)
    attempts = [(op, each) for op in noted_ops(x.ledger.directory) for each in op["attempts"]]
    for op, attempt in attempts:
        around = next((each for each in away if _is_during(attempt, each)), None)
        if around is not None and around.target == attempt["replica"]:
            continue
        if around is not None and attempt["status"] == HTTPStatus.OK:
            served[around.target] += 1
        if not any(_is_during(attempt, each) for each in deploy):
            continue
        status = attempt["status"]
        is_clean = status == HTTPStatus.SERVICE_UNAVAILABLE or (status or 500) < HTTPStatus.INTERNAL_SERVER_ERROR
        x.expect(
            is_clean,
            otherwise=Kind.WRONG_ANSWER,
            summary=f"{op['kind']} at {attempt['replica']}: {status or attempt['error']}, during the deploy",
            ids={"op": op["op"]},
        )
    x.witness("requests served while an API replica was away", served if all(served.values()) else None)


def _is_during(attempt: dict[str, Any], fault: Injected) -> bool:
    """Whether it began between injection and heal; both stamps are ISO 8601 in UTC."""
    is_over = fault.healed_at is not None and attempt["at"] > fault.healed_at.isoformat()
    return bool(attempt["at"] >= fault.injected_at.isoformat()) and not is_over
