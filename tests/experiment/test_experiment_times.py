"""What an experiment works out about time: how long a store was away, and what a request may take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.experiment import Experiment
from harness.judgement import PATIENCE_SHARE, request_bound_s
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


@pytest.mark.parametrize(
    ("demanded_s", "crowding", "expected_s"),
    [
        pytest.param(None, 5.0, 15.0, id="nothing demanded: the phones' patience"),
        pytest.param(9.0, 1.0, 9.0, id="as demanded"),
        pytest.param(9.0, 1.2, 10.8, id="on a crowded machine"),
        pytest.param(9.0, 8.0, PATIENCE_SHARE * 15.0, id="never a request that its phone gave up"),
    ],
)
def test_request_bound(demanded_s: float | None, crowding: float, expected_s: float) -> None:
    x: Any = SimpleNamespace(
        habits=SimpleNamespace(request_timeout_s=15.0), request_bound_s=demanded_s, crowding=lambda: crowding
    )
    assert request_bound_s(x) == pytest.approx(expected_s)
