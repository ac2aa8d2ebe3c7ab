"""The timetable: who arrives when. An open model: it is fixed by the seed before the run, whatever the server does."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from harness.devices.generator import phones_of
from harness.errors import LabError
from harness.load.order import LoadOrder
from harness.load.shapes import share

READERS_PER_PHONE: Final = 0.5
"""Dashboards that are opened for one phone that arrives."""


class Visitor(StrEnum):
    """Who arrives."""

    PHONE = "phone"
    READER = "reader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One visitor. `at_s` is seconds after the start; `number` counts a person's phones, or a kind's readers."""

    at_s: float
    visitor: Visitor
    person: int
    number: int


def timetable(order: LoadOrder) -> tuple[Arrival, ...]:
    """Everybody, in order of arrival. A reader looks at a person of whom a phone has arrived by then.

    Raises: LabError when no phone arrives.
    """
    phones = tuple(_phones(order))
    if not phones:
        raise LabError(
            f"no phone arrives in {order.run_time_s:g} s at {order.rate_per_s:g} phones/s ({order.shape}): more RATE "
            "or RUN_TIME"
        )
    return tuple(sorted([*phones, *_readers(order, phones)], key=lambda each: (each.at_s, each.visitor, each.person)))


def part_of(order: LoadOrder, *, index: int) -> tuple[Arrival, ...]:
    """What one of several Locust processes plays: whole persons, so that a person's phones share a process."""
    arrivals = timetable(order)
    process_of = _dealt(arrivals, processes=order.processes)
    return tuple(each for each in arrivals if process_of[each.person] == index)


def _dealt(arrivals: tuple[Arrival, ...], *, processes: int) -> Mapping[int, int]:
    """Which process plays a person: in order of arrival, the one that has the fewest phones by then."""
    phones = Counter(each.person for each in arrivals if each.visitor is Visitor.PHONE)
    held = [0] * processes
    process_of = {}
    for person, count in phones.items():
        process_of[person] = held.index(min(held))
        held[process_of[person]] += count
    return process_of


def phones_in(arrivals: tuple[Arrival, ...]) -> int:
    """How many phones."""
    return sum(each.visitor is Visitor.PHONE for each in arrivals)


def middle_s(arrivals: Sequence[Arrival]) -> float:
    """Half the time until the last phone arrives."""
    return max(each.at_s for each in arrivals if each.visitor is Visitor.PHONE) / 2


def _moments(order: LoadOrder, *, rate_per_s: float, name: str) -> Iterator[float]:
    """Poisson arrivals whose rate follows the shape (thinning); at most `users`, where that is given."""
    rng = random.Random(f"{order.seed}/{name}")
    at_s, made = 0.0, 0
    while order.users is None or made < order.users:
        at_s += rng.expovariate(rate_per_s)
        if at_s >= order.run_time_s:
            return
        if rng.random() < share(order.shape, at_s / order.run_time_s):
            made += 1
            yield at_s


def _phones(order: LoadOrder) -> Iterator[Arrival]:
    owners = ((person, number) for person in itertools.count() for number in range(phones_of(person)))
    moments = _moments(order, rate_per_s=order.rate_per_s, name="phones")
    for at_s, (person, number) in zip(moments, owners, strict=False):
        yield Arrival(at_s=at_s, visitor=Visitor.PHONE, person=person, number=number)


def _readers(order: LoadOrder, phones: tuple[Arrival, ...]) -> Iterator[Arrival]:
    rng = random.Random(f"{order.seed}/reads")
    known: list[int] = []
    coming = list(reversed(phones))
    moments = _moments(order, rate_per_s=order.rate_per_s * READERS_PER_PHONE, name="readers")
    for number, at_s in enumerate(moments):
        while coming and coming[-1].at_s <= at_s:
            known.append(coming.pop().person)
        if known:
            yield Arrival(at_s=at_s, visitor=Visitor.READER, person=rng.choice(known), number=number)
