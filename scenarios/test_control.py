"""CONTROL: no fault. Everything that any other row relies on must be VALID here first."""

from __future__ import annotations

from harness.experiment.experiment import Experiment
from harness.rows.row import CONTROL, Tier, row


@row(CONTROL, title="no fault at all", tier=Tier.FAST)
def test_control(x: Experiment) -> None:
    """Backfills, syncs, repeated calls, strangers, codes, dashboards and reminders, with nobody in the way."""
    x.watch_redis()
    x.work()
    x.await_uploads()
