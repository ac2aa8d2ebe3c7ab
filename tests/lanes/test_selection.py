"""Which rows are played: by tier, by id, and the control always."""

from __future__ import annotations

import pytest

from harness.plan import Plan
from harness.plugin import Mode, Selection
from harness.row import CONTROL, Row, Tier


@pytest.mark.parametrize(
    ("asked", "played"),
    [
        (None, {Tier.FAST, Tier.CORE, Tier.REST}),
        (Tier.FAST, {Tier.FAST}),
        (Tier.CORE, {Tier.FAST, Tier.CORE}),
        (Tier.REST, {Tier.REST}),
    ],
)
def test_a_tier_takes_its_rows(asked: Tier | None, played: set[Tier]) -> None:
    selection = Selection(mode=Mode.CHAOS, tier=asked)
    assert {tier for tier in Tier if selection.takes(Plan(row=Row(id="W6", title="", tier=tier)))} == played
    assert selection.takes(Plan(row=Row(id=CONTROL, title="", tier=Tier.FAST)))


def test_core_and_rest_are_everything() -> None:
    core, rest = (Selection(mode=Mode.CHAOS, tier=tier) for tier in (Tier.CORE, Tier.REST))
    for tier in Tier:
        plan = Plan(row=Row(id="W6", title="", tier=tier))
        assert core.takes(plan) is not rest.takes(plan)


def test_ids_and_a_tier_must_both_agree() -> None:
    selection = Selection(mode=Mode.CHAOS, ids=frozenset({"W6"}), tier=Tier.FAST)
    assert selection.takes(Plan(row=Row(id="W6", title="", tier=Tier.FAST)))
    assert not selection.takes(Plan(row=Row(id="W5", title="", tier=Tier.FAST)))
    assert not selection.takes(Plan(row=Row(id="W6", title="", tier=Tier.REST)))
