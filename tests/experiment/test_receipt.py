"""Receipts: a fault that left none, or an unsound one, proves nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from harness.receipt import Injected, Receipt, doubts_about

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SOUND = Injected(
    name="kill_worker",
    target="worker-1",
    injected_at=T0,
    bitten_at=T0 + timedelta(seconds=1),
    healed_at=T0 + timedelta(seconds=2),
    receipt=Receipt(source="process table", before="runs", after="down: exit 137"),
)


def test_a_sound_receipt_leaves_no_doubt() -> None:
    assert doubts_about(SOUND) == ()


@pytest.mark.parametrize(
    ("unsound", "why"),
    [
        pytest.param(replace(SOUND, receipt=None), "left no receipt", id="none"),
        pytest.param(replace(SOUND, bitten_at=None), "left no receipt", id="no bite"),
        pytest.param(replace(SOUND, receipt=Receipt("s", "same", "same")), "read the same", id="no difference"),
        pytest.param(replace(SOUND, healed_at=None), "never seen healed", id="not healed"),
        pytest.param(
            replace(SOUND, bitten_at=T0 - timedelta(seconds=1)), "not in the order", id="bite before injection"
        ),
        pytest.param(replace(SOUND, healed_at=T0), "not in the order", id="healed before the bite"),
    ],
)
def test_an_unsound_receipt_is_doubted(unsound: Injected, why: str) -> None:
    assert any(why in doubt for doubt in doubts_about(unsound))
