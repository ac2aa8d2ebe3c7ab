"""Which rows are played: by tier, by id, and the control always."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.rows.plan import Plan
from harness.rows.row import CONTROL, Row, Tier
from harness.run.plugin import Mode, Selection
from tests.lanes.test_plugin import Heard, played


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


@pytest.mark.parametrize(
    ("selection", "is_usage"),
    [
        (Selection(mode=Mode.CHAOS, ids=frozenset({"CONTROL"}), plans=frozenset({"CONTROL"})), False),
        (Selection(mode=Mode.CHAOS, plans=frozenset({"W2-warm"})), False),
        (Selection(mode=Mode.CHAOS, ids=frozenset({"W2[warm]"})), False),
        (Selection(mode=Mode.CHAOS, ids=frozenset({"W2[cold]"})), True),
        (Selection(mode=Mode.CHAOS, ids=frozenset({"W2"}), tier=Tier.FAST), True),
        (Selection(mode=Mode.CHAOS, plans=frozenset({"typo"})), True),
        (Selection(mode=Mode.CHAOS, ids=frozenset({"typo"})), True),
        (Selection(mode=Mode.DEFECTS, ids=frozenset({"W2"})), True),
    ],
    ids=[
        "the control",
        "a plan",
        "a variant",
        "no such variant",
        "a row of another tier",
        "no such plan",
        "no such row",
        "a row without a defect",
    ],
)
def test_what_selects_nothing_but_the_control_is_an_error_of_usage(
    selection: Selection, is_usage: bool, tmp_path: Path
) -> None:
    rows = """
from harness.rows.row import row

@row("CONTROL", title="nothing")
def test_control(x): ...

@row("W2", variant="warm", title="nothing")
def test_w2(x): ...
"""
    with played(rows, tmp_path, Heard(), lanes=1, selection=selection) as (_, ended):
        assert ended == (pytest.ExitCode.USAGE_ERROR if is_usage else pytest.ExitCode.OK)


def test_core_and_rest_are_everything() -> None:
    core, rest = (Selection(mode=Mode.CHAOS, tier=tier) for tier in (Tier.CORE, Tier.REST))
    for tier in Tier:
        plan = Plan(row=Row(id="W6", title="", tier=tier))
        assert core.takes(plan) is not rest.takes(plan)


def test_a_variant_by_its_name_leaves_out_the_others() -> None:
    selection = Selection(mode=Mode.CHAOS, ids=frozenset({"S2[alone]"}))
    taken = [each for each in ("", "alone", "standby") if selection.takes(Plan(Row(id="S2", variant=each, title="")))]
    assert taken == ["alone"]


def test_ids_and_a_tier_must_both_agree() -> None:
    selection = Selection(mode=Mode.CHAOS, ids=frozenset({"W6"}), tier=Tier.FAST)
    assert selection.takes(Plan(row=Row(id="W6", title="", tier=Tier.FAST)))
    assert not selection.takes(Plan(row=Row(id="W5", title="", tier=Tier.FAST)))
    assert not selection.takes(Plan(row=Row(id="W6", title="", tier=Tier.REST)))
