"""A replica is unfit by its own check only while the same check passes for the others: else the machine is slow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from types import SimpleNamespace
from typing import Any

import pytest

from harness.anomaly import Kind
from harness.demands import demands
from harness.demands.demands import expect_unfit
from harness.errors import Inconclusive
from harness.experiment.experiment import Experiment


def experiment(*, frozen: Iterator[bool], standby: Iterator[bool]) -> Any:
    """As much of one as asks two beats for their health."""
    answers = {"beat-1": frozen, "beat-2": standby}
    stack = SimpleNamespace(
        replicas=lambda service: tuple(answers),
        is_fit=lambda name: next(answers[name]),
        processes=lambda name: (SimpleNamespace(command="celery beat"),),
    )
    x: Any = SimpleNamespace(stack=stack, faulted=True, anomalies=[], recovery_s={}, witnesses={}, missing_witnesses=[])
    x.expect = lambda holds, **told: Experiment.expect(x, holds, **told)
    x.witness = lambda name, evidence: Experiment.witness(x, name, evidence)
    return x


@pytest.mark.parametrize(
    ("frozen", "standby", "kinds"),
    [
        pytest.param(repeat(False), repeat(True), [], id="unfit, and the other is fit"),
        pytest.param(chain([True], repeat(False)), repeat(True), [], id="unfit later"),
        pytest.param(repeat(True), repeat(True), [Kind.SILENT], id="never unfit"),
    ],
)
def test_unfit(
    frozen: Iterator[bool], standby: Iterator[bool], kinds: list[Kind], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demands, "CHECK_TIMEOUT_S", 0.0)
    x = experiment(frozen=frozen, standby=standby)
    expect_unfit(x, "beat-1", bound_s=0.3)
    assert [each.kind for each in x.anomalies] == kinds


def test_where_all_checks_fail_nothing_is_told_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demands, "CHECK_TIMEOUT_S", 0.0)
    with pytest.raises(Inconclusive, match="every beat fails its health check"):
        expect_unfit(experiment(frozen=repeat(False), standby=repeat(False)), "beat-1", bound_s=0.3)
