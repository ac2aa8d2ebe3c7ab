"""Only calls that began between bite and heal, of that kind and with that answer, are witnesses of the harm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.demands.asking import expect_asked
from harness.experiment.experiment import Experiment
from harness.ledger import Attempt, Ledger, Op, Outcome
from harness.receipt import Injected

INJECTED = datetime(2026, 4, 10, tzinfo=UTC)
FREEZE = Injected(
    name="freeze_postgres",
    target="postgres",
    injected_at=INJECTED,
    bitten_at=INJECTED + timedelta(seconds=1),
    healed_at=INJECTED + timedelta(seconds=10),
)
UPLOAD, UNAVAILABLE = "upload_chunk", HTTPStatus.SERVICE_UNAVAILABLE


def witnesses(
    directory: Path,
    *,
    kind: str,
    after_s: float,
    status: int,
    wanted: HTTPStatus | None,
    wanted_kinds: tuple[str, ...] = (UPLOAD,),
) -> Any:
    """What is seen, and what is missed, when one such attempt began so long after the injection."""
    at = INJECTED + timedelta(seconds=after_s)
    attempt = Attempt(
        at=at.isoformat(), ended=at.isoformat(), took_s=0.1, replica="api-1", outcome=Outcome.UNKNOWN, status=status
    )
    with Ledger(directory) as ledger:
        ledger.op(Op(op="1", kind=kind, user="u", device="d", outcome=Outcome.UNKNOWN, attempts=(attempt,)))
    x: Any = SimpleNamespace(ledger=ledger, later=[], faulted=True, witnesses={}, missing_witnesses=[])
    x.witness = lambda name, evidence: Experiment.witness(x, name, evidence)
    live: Any = SimpleNamespace(injected=FREEZE)
    expect_asked(x, live, *wanted_kinds, status=wanted)
    for demand in x.later:
        demand()
    return x


@pytest.mark.parametrize(
    ("kind", "after_s", "status", "is_met"),
    [
        pytest.param(UPLOAD, 5.0, 503, True, id="meanwhile"),
        pytest.param(UPLOAD, -5.0, 503, False, id="before the injection"),
        pytest.param(UPLOAD, 0.5, 503, False, id="before the bite"),
        pytest.param(UPLOAD, 11.0, 503, False, id="after the heal"),
        pytest.param(UPLOAD, 5.0, 200, False, id="another answer"),
        pytest.param("progress", 5.0, 503, False, id="another kind"),
    ],
)
def test_who_met_the_harm(tmp_path: Path, kind: str, after_s: float, status: int, *, is_met: bool) -> None:
    x = witnesses(tmp_path, kind=kind, after_s=after_s, status=status, wanted=UNAVAILABLE)
    assert (len(x.witnesses), len(x.missing_witnesses)) == ((1, 0) if is_met else (0, 1))


def test_any_answer_will_do_where_none_is_named(tmp_path: Path) -> None:
    x = witnesses(tmp_path, kind=UPLOAD, after_s=5.0, status=200, wanted=None)
    assert len(x.witnesses) == 1


@pytest.mark.parametrize(("status", "is_met"), [pytest.param(503, True, id="so"), pytest.param(200, False, id="other")])
def test_any_call_will_do_where_no_kind_is_named(tmp_path: Path, status: int, *, is_met: bool) -> None:
    x = witnesses(tmp_path, kind="progress", after_s=5.0, status=status, wanted=UNAVAILABLE, wanted_kinds=())
    assert bool(x.witnesses) is is_met
