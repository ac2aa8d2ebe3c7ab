"""E: effects outside the database, in the end exactly one each: reminders."""

from __future__ import annotations

from collections import Counter

import httpx

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.demands.demands import await_state, expect_alarm, expect_loud
from harness.demands.giving_up import redrive
from harness.drivers.protocol import StackSpec
from harness.errors import WaitTimeout
from harness.experiment.experiment import Experiment
from harness.faults.gateway import TIMEOUT_S, HarmGateway
from harness.faults.process import KillReplica
from harness.faults.redelivery import RedeliverReminder
from harness.rows.row import Load, row
from harness.times import Recovery
from harness.tls import trusted
from scenarios.defects import (
    busy_gives_up,
    gateway_waited_for,
    redirect_is_sent,
    refusal_retried,
    refused_is_sent,
    reminder_claim_for_ever,
    reminder_claim_shared,
)

FEW = Load(phones=4, samples=1_600, planted_phones=4, planted_samples=1_600)
BAD_REQUEST = 400
ANSWERS = {"refused": 503, "busy": 429, "cut": 503, "moved": 302}
"""What the gateway answers, by the row's variant, if it answers at all."""
FEWER = Load(phones=2, samples=800, planted_phones=2, planted_samples=800)
"""Fewer reminders than workers have children: one must be free for the second delivery while the first is sent."""
SLOW_S = 1.5
ON_TIME = "due_at > clock_timestamp() - interval '1 hour'"
"""Not the one that was ordered too late: it is alone, and gone before the others are due."""
YOUNG_S = 0.5
"""Of a claim: its request has two seconds, after which the one who waits lets it go."""
HUNG_S = 120.0
"""Longer than this row lasts."""
PATIENT = StackSpec(env={"CLAIM_TIMEOUT_S": "18"})
"""A fifth of it is what the app grants the gateway, well above SLOW_S."""


@row("E1", variant="refused", title="the reminder gateway answers 503 while reminders are due", load=FEW,
     defects=(refused_is_sent.DEFECT.expecting(Kind.MISSED_EFFECT),))  # fmt: skip
@row("E1", variant="busy", title="the reminder gateway answers 429 while reminders are due", load=FEW,
     defects=(busy_gives_up.DEFECT.expecting(Kind.MISSED_EFFECT),))  # fmt: skip
@row("E1", variant="cut", title="the reminder gateway reads the request and hangs up while reminders are due", load=FEW,
     defects=(refused_is_sent.DEFECT.expecting(Kind.MISSED_EFFECT),))  # fmt: skip
@row("E1", variant="moved", title="the reminder gateway redirects to a page that answers 200", load=FEW,
     defects=(redirect_is_sent.DEFECT.expecting(Kind.MISSED_EFFECT),))  # fmt: skip
def test_e1_gateway_refuses(x: Experiment) -> None:
    """Every reminder is accepted once, later; meanwhile it is loud that they are overdue."""
    harmed = x.inject(HarmGateway(status=ANSWERS[x.row.variant], is_cutting=x.row.variant == "cut"), wait=False)
    expect_loud(x, "log:reminder_failed")
    x.work()
    x.await_bite(harmed)
    expect_alarm(x, "reminders_overdue")
    x.heal(harmed)


@row("E1", variant="hung", title="the reminder gateway reads the request and says nothing while reminders are due",
     load=FEW, defects=(gateway_waited_for.DEFECT.expecting(Kind.UNBOUNDED),))  # fmt: skip
def test_e1_gateway_hangs(x: Experiment) -> None:
    """Nobody waits for it as long as a claim lasts: the reminders fail, loudly, and are accepted once, later."""
    hung = x.inject(HarmGateway(is_cutting=True, delay_s=HUNG_S), wait=False)
    x.work()
    if hung is None:
        return
    x.await_bite(hung)
    bound_s = x.times.claim_timeout_s * x.crowding()
    try:
        wait_for(lambda: _failed(x), awaiting="a reminder to be given up", timeout_s=bound_s, interval_s=0.2)
    except WaitTimeout as error:
        x.expect(
            False,
            otherwise=Kind.UNBOUNDED,
            summary=f"workers go on waiting for a gateway that says nothing: {error}",
            ids={"bound": "gateway"},
        )
    expect_loud(x, "log:reminder_failed")
    expect_alarm(x, "reminders_overdue")
    x.heal(hung)


@row("E1", variant="killed", title="workers are killed while the gateway has read a reminder and says nothing",
     load=FEW, recovery=Recovery.HOLDER_CUT_OFF,
     defects=(reminder_claim_for_ever.DEFECT.expecting(Kind.MISSED_EFFECT),))  # fmt: skip
def test_e1_senders_killed(x: Experiment) -> None:
    """Whoever claimed a reminder is dead, and nobody knows if it was sent: another sends it when the claim is over."""
    hung = x.inject(HarmGateway(is_cutting=True, delay_s=HUNG_S), wait=False)
    x.work()
    if hung is None:
        return
    x.await_bite(hung)
    young_s = x.times.claim_timeout_s - YOUNG_S
    young = f"claim_expires_at > clock_timestamp() + {young_s} * interval '1 s' AND {ON_TIME}"
    claimed = f"SELECT id FROM reminders_delivery WHERE {young}"
    await_state(x, lambda: x.sql(claimed), awaiting="a reminder that a worker has just claimed")
    killed = [x.inject(KillReplica(each), wait=False) for each in x.stack.replicas("worker")]
    left = x.sql("SELECT id FROM reminders_delivery WHERE claim_token IS NOT NULL AND status = 'pending'")
    x.witness("reminders whose senders are dead", left)
    x.heal(hung)
    for each in killed:
        if each is not None:
            x.await_bite(each)
        x.heal(each)


@row("E1", variant="slow", title="the reminder gateway is slow, and a reminder is delivered twice meanwhile",
     load=FEWER, spec=PATIENT,
     defects=(reminder_claim_shared.DEFECT.expecting(Kind.DUPLICATED),))  # fmt: skip
def test_e1_delivered_twice_at_once(x: Experiment) -> None:
    """Whoever sends a reminder has claimed it: the second delivery sends nothing."""
    slow = x.inject(HarmGateway(delay_s=SLOW_S), wait=False)
    x.work()
    if slow is None:
        return
    x.inject(RedeliverReminder(patience_s=x.quiesce_deadline_s()))
    x.await_bite(slow)
    x.later.append(lambda: _see_sent_once(x))


@row("E1", variant="never", title="the reminder gateway refuses what it is asked for good", load=FEW,
     defects=(refusal_retried.DEFECT.expecting(Kind.WRONG_ACCOUNTING),))  # fmt: skip
def test_e1_refused_for_good(x: Experiment) -> None:
    """It is tried once, given up and loud; an operator who puts it back gets it sent."""
    harmed = x.inject(HarmGateway(status=BAD_REQUEST), wait=False)
    expect_loud(x, "log:reminder_failed")
    x.work()
    if harmed is None:
        return
    x.await_bite(harmed)
    answered = f"FROM reminders_delivery WHERE attempts > 0 AND claim_token IS NULL AND {ON_TIME} ORDER BY id LIMIT 1"
    [(delivery,)] = await_state(x, lambda: x.sql(f"SELECT id {answered}"), awaiting="the answer to be noted")
    x.hold(2 * x.times.reminder_interval_s)
    tried = x.sql(f"SELECT status, attempts FROM reminders_delivery WHERE id = {delivery}")
    x.expect(
        tried == [("failed", 1)],
        otherwise=Kind.WRONG_ACCOUNTING,
        summary=f"a delivery that was refused for good is {tried} (status, attempts), expected failed and 1",
        ids={"delivery": str(delivery)},
    )
    x.heal(harmed)
    at_work = "SELECT 1 FROM reminders_delivery WHERE claim_token IS NOT NULL"
    await_state(x, lambda: not x.sql(at_work), awaiting="the last answers to be noted")
    letters = x.sql("SELECT id FROM healthkit_dead_letter WHERE redriven_at IS NULL ORDER BY id")
    put_back = [letter for (letter,) in letters if redrive(x, kind="dead_letter", target=str(letter)) == 1]
    x.witness("reminders that were put back by their dead letters", put_back)


def _see_sent_once(x: Experiment) -> None:
    """The gateway took every request, so none may come twice; but for one that the app says it could not send."""
    answer = httpx.get(f"{x.stack.receiver_url().rstrip('/')}/received", timeout=TIMEOUT_S, verify=trusted())
    times = Counter(str(each["key"]) for each in answer.raise_for_status().json())
    failed = _failed(x)
    x.witness("reminders that a slow gateway took", len(times))
    for key, sent in times.items():
        x.expect(
            sent == 1 or any(key in line for line in failed),
            otherwise=Kind.DUPLICATED,
            summary=f"reminder {key} was sent {sent} times to a gateway that took each",
            ids={"key": key},
        )


def _failed(x: Experiment) -> list[str]:
    """What workers said about reminders that they could not send."""
    return [line for each in x.stack.replicas("worker") for line in x.stack.logs(each) if "reminder_failed" in line]
