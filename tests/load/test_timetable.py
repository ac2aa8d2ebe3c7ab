"""The timetable: fixed by the seed, bounded in count and time, whole persons in each process."""

from __future__ import annotations

import pytest

from harness.devices.generator import phones_of
from harness.errors import LabError
from harness.load.order import read_order
from harness.load.people import named_phone, phones_plans
from harness.load.shapes import LoadShape, share
from harness.load.timetable import Visitor, middle_s, part_of, phones_in, timetable
from tests.load.conftest import MakeOrder


def test_same_seed_same_arrivals(order: MakeOrder) -> None:
    assert timetable(order()) == timetable(order())
    assert timetable(order()) != timetable(order(seed=8))


@pytest.mark.parametrize("shape", list(LoadShape), ids=lambda each: str(each))
def test_bounded_in_count_and_time(order: MakeOrder, shape: LoadShape) -> None:
    busy = timetable(order(shape=shape, rate_per_s=50.0, users=30))
    assert phones_in(busy) == 30
    calm = timetable(order(shape=shape))
    assert 0 < phones_in(calm) <= 40
    assert all(0 <= each.at_s < 30.0 for each in calm)
    assert list(calm) == sorted(calm, key=lambda each: each.at_s)


def test_without_a_cap_phones_come_until_the_end(order: MakeOrder) -> None:
    whole = timetable(order(users=None, rate_per_s=50.0))
    assert phones_in(whole) > 1000
    assert 2 * middle_s(whole) > 29.0


def test_the_run_is_in_nothing_but_names(order: MakeOrder) -> None:
    assert timetable(order(run="load1a2b3c")) == timetable(order())


def test_a_load_without_phones_is_refused(order: MakeOrder) -> None:
    with pytest.raises(LabError, match=r"no phone arrives in 30 s at 0\.0001 phones/s"):
        timetable(order(rate_per_s=0.0001))


@pytest.mark.parametrize("processes", [2, 3, 4, 8])
def test_parts_have_as_many_phones_each(order: MakeOrder, processes: int) -> None:
    """A person's two phones stay together, so they may differ by two, and by no more."""
    asked = order(processes=processes, users=None)
    counts = [phones_in(part_of(asked, index=index)) for index in range(processes)]
    assert sum(counts) == phones_in(timetable(asked))
    assert max(counts) - min(counts) <= 2


def test_parts_are_the_whole_and_share_no_person(order: MakeOrder) -> None:
    parts = [part_of(order(processes=3), index=index) for index in range(3)]
    assert sorted((each for part in parts for each in part), key=str) == sorted(timetable(order()), key=str)
    people = [{each.person for each in part} for part in parts]
    assert sum(len(each) for each in people) == len(set().union(*people))


def test_readers_look_at_people_who_have_come(order: MakeOrder) -> None:
    came: set[int] = set()
    readers = 0
    for each in timetable(order()):
        if each.visitor is Visitor.PHONE:
            came.add(each.person)
        else:
            readers += 1
            assert each.person in came
    assert readers > 0


def test_every_phone_of_a_person_comes_in_turn(order: MakeOrder) -> None:
    seen: dict[int, list[int]] = {}
    for each in timetable(order()):
        if each.visitor is Visitor.PHONE:
            seen.setdefault(each.person, []).append(each.number)
    *whole, _last = seen
    assert {person: list(range(phones_of(person))) for person in whole} == {person: seen[person] for person in whole}


def test_shapes_differ_where_they_should() -> None:
    assert share(LoadShape.RAMP, 0.0) < share(LoadShape.RAMP, 0.5) < share(LoadShape.RAMP, 0.9) == 1.0
    assert share(LoadShape.SPIKE, 0.4) == pytest.approx(1.0)
    assert share(LoadShape.SPIKE, 0.0) == pytest.approx(share(LoadShape.SPIKE, 1.0), abs=0.01)
    assert share(LoadShape.SOAK, 0.1) == share(LoadShape.SOAK, 0.9) < share(LoadShape.STEADY, 0.5)


@pytest.mark.parametrize("users", [None, 40])
def test_order_survives_the_environment(order: MakeOrder, users: int | None) -> None:
    asked = order(shape=LoadShape.SPIKE, users=users)
    assert read_order(asked.as_text()) == asked


@pytest.mark.parametrize("text", [None, "", "{}", "[]", "nonsense"])
def test_what_is_no_order_is_refused(text: str | None) -> None:
    with pytest.raises(LabError, match="LAB_LOAD"):
        read_order(text)


def test_nothing_is_not_a_load(order: MakeOrder) -> None:
    with pytest.raises(LabError, match="rate_per_s 0"):
        order(rate_per_s=0)


@pytest.mark.parametrize("person", [0, 1])
def test_names_are_those_of_the_plans(order: MakeOrder, person: int) -> None:
    for number, plan in enumerate(phones_plans(order(), person=person)):
        named = named_phone(order(), person=person, number=number)
        assert (named.user, named.device, named.name, named.zone) == (plan.user, plan.device, plan.name, plan.zone)
