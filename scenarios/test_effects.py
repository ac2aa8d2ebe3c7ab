"""E: effects outside the database, in the end exactly one each: reminders."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.demands import expect_alarm, expect_loud
from harness.experiment import Experiment
from harness.faults.gateway import HarmGateway
from harness.row import Load, row
from scenarios.defects import refused_is_sent

FEW = Load(phones=4, samples=1_600, planted_phones=4, planted_samples=1_600)


@row("E1", variant="refused", title="the reminder gateway answers 503 while reminders are due", load=FEW,
     defects=(refused_is_sent.DEFECT.expecting(Kind.MISSED_EFFECT),))  # fmt: skip
@row("E1", variant="cut", title="the reminder gateway reads the request and hangs up while reminders are due", load=FEW,
     defects=(refused_is_sent.DEFECT.expecting(Kind.MISSED_EFFECT),))  # fmt: skip
def test_e1_gateway_refuses(x: Experiment) -> None:
    """Every reminder is accepted once, later; meanwhile it is loud that they are overdue."""
    harmed = x.inject(HarmGateway(is_cutting=x.row.variant == "cut"), wait=False)
    expect_loud(x, "log:reminder_failed")
    x.work()
    x.await_bite(harmed)
    expect_alarm(x, "reminders_overdue")
    x.heal(harmed)
