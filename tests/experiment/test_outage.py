"""What an experiment works out about time: how long a store was away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.experiment.experiment import Experiment
from harness.receipt import Injected
from harness.times import Recovery

AT = datetime(2026, 4, 10, tzinfo=UTC)


def lasted(*seconds: float | None) -> tuple[Injected, ...]:
    """Faults that were healed after so long; None: not yet."""
    return tuple(
        Injected("kill_redis", "redis", AT, healed_at=None if each is None else AT + timedelta(seconds=each))
        for each in seconds
    )


@pytest.mark.parametrize(
    ("recovery", "faults", "expected_s"),
    [
        pytest.param(Recovery.STORE_AWAY, lasted(4.0, 15.0, 2.0), 15.0, id="the longest"),
        pytest.param(Recovery.STORE_AWAY, lasted(4.0, None), 4.0, id="one that is not healed does not count"),
        pytest.param(Recovery.STORE_AWAY, (), 0.0, id="none"),
        pytest.param(Recovery.HOLDER_DIED, lasted(15.0), 0.0, id="no store was away"),
    ],
)
def test_outage(recovery: Recovery, faults: tuple[Injected, ...], expected_s: float) -> None:
    x: Any = SimpleNamespace(row=SimpleNamespace(recovery=recovery), harm=SimpleNamespace(injected=lambda: faults))
    assert cast(property, Experiment.outage_s).fget(x) == expected_s  # type: ignore[misc]
