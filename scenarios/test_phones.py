"""A: the API and its phones."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.drivers.protocol import StackSpec
from harness.errors import WaitTimeout
from harness.experiment import Experiment
from harness.faults.phones import VanishPhone
from harness.health import import_problems
from harness.row import Load, row
from harness.times import LAB
from scenarios.defects import never_abandoned

SOME = Load(phones=6, samples=6_000, planted_phones=4, planted_samples=2_400)
ABANDON_S = LAB.overdue_s + 5.0
"""Beyond *overdue*, so that an unfinished upload that alarmed would be seen to."""
ABANDON = StackSpec(env={"UPLOAD_ABANDON_S": f"{ABANDON_S:g}"})


@row(
    "A11",
    title="a phone vanishes half-way through an upload",
    load=SOME,
    spec=ABANDON,
    defects=(never_abandoned.DEFECT.expecting(Kind.WRONG_ACCOUNTING),),
)
def test_a11_phone_vanishes(x: Experiment) -> None:
    """The batch ends ABANDONED, what was uploaded is imported, no anchor moves, and nobody is alarmed meanwhile."""
    batch = x.rng.choice([plan.batches[3] for plan in x.fleet.plans if len(plan.batches[3].chunks) > 1])
    vanished = x.inject(VanishPhone(batch.key, x.vanish), wait=False)
    x.work()
    if vanished is None:
        return
    x.await_bite(vanished)
    alarms: set[str] = set()
    sql = f"SELECT id::text, status = 'ABANDONED' FROM healthkit_import_batch WHERE idempotency_key = '{batch.key}'"

    def is_abandoned() -> bool:
        [(batch_id, is_over)] = x.sql(sql)
        alarms.update(each.text for each in import_problems(x.stack).found if batch_id in each.text)
        return bool(is_over)

    bound_s = ABANDON_S + 2 * x.times.sweep_interval_s + 10.0
    try:
        wait_for(is_abandoned, awaiting=f"{batch.key} to be abandoned", timeout_s=bound_s, interval_s=0.5)
    except WaitTimeout:
        x.phases.note(f"{batch.key} is not abandoned after {bound_s:.0f} s")
    x.expect(
        not alarms,
        otherwise=Kind.FALSE_ALARM,
        summary=f"an upload that a phone left was an alarm before it was given up: {sorted(alarms)[:1]}",
        ids={"batch_key": batch.key},
    )
