"""The generator: same seed, same data; marks that hold; every kind of trap is there."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from harness.devices.generator import DevicePlan, Shape, _with_specials, late_sync, next_sync, plans
from harness.devices.landmarks import clock_changes_us, landmarks
from harness.devices.sample import Mark, Sample, Spelling, normal_source, spell_time, spell_value
from harness.devices.specials import BAD_REASONS_MADE, _other_value
from harness.devices.streams import wearer
from harness.devices.types import ASLEEP_STAGES, BY_IDENTIFIER, REJECTION_REASONS, SAMPLE_TYPES, TypeKind
from harness.rows.row import Load

SHAPE = Shape(seed=5, phones=4, samples=4_000)
Content = tuple[str, int, int, float | str, str | None, str]


@pytest.fixture(scope="module")
def made() -> tuple[DevicePlan, ...]:
    return tuple(plans(SHAPE))


def samples_of(found: tuple[DevicePlan, ...]) -> Iterator[tuple[DevicePlan, Sample]]:
    for plan in found:
        for batch in plan.batches:
            for chunk in batch.chunks:
                yield from ((plan, sample) for sample in chunk)


def content(sample: Sample) -> Content:
    source = normal_source(sample.source.key)
    return sample.type, sample.start_us // 1000, sample.end_us // 1000, sample.value, sample.unit, source


def test_same_seed_same_data(made: tuple[DevicePlan, ...]) -> None:
    assert tuple(plans(SHAPE)) == made
    assert tuple(plans(Shape(seed=6, phones=4, samples=4_000))) != made


def test_the_run_is_in_nothing_but_names() -> None:
    def drawn(run: str) -> list[object]:
        shape = Shape(seed=5, phones=2, samples=400, run=run)
        made = tuple(plans(shape))
        syncs = [
            sync
            for plan in made
            for batch in plan.batches
            for sync in (
                next_sync(plan, batch=batch, anchor=None, turn=1, shape=shape),
                late_sync(plan, batch=batch, anchor=None, turn=2, is_closed=False, shape=shape),
            )
        ]
        batches = [*(batch for plan in made for batch in plan.batches), *syncs]
        return [
            (each.type, each.start_us, each.end_us, each.value, each.unit, each.source.kind, each.mark, each.reason)
            for batch in batches
            for chunk in batch.chunks
            for each in chunk
        ]

    assert drawn("load1a2b3c") == drawn("load4d5e6f")


def test_at_least_what_was_asked_for(made: tuple[DevicePlan, ...]) -> None:
    assert len(made) == SHAPE.phones
    assert sum(plan.sample_count for plan in made) >= SHAPE.samples
    assert {batch.type for batch in made[0].batches} == {kind.identifier for kind in SAMPLE_TYPES}
    assert max(len(chunk) for plan in made for batch in plan.batches for chunk in batch.chunks) == SHAPE.chunk_size


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_ordinary_row_sends_more_than_twenty_thousand(seed: int) -> None:
    load = Load()
    assert load.phones >= 10
    shape = Shape(seed=seed, phones=load.phones, samples=load.samples)
    assert sum(plan.sample_count for plan in plans(shape)) > 20_000


def test_no_phones_are_no_plans() -> None:
    assert list(plans(Shape(seed=1, phones=0, samples=0))) == []


def test_keys_are_unique(made: tuple[DevicePlan, ...]) -> None:
    keys = Counter(sample.key for _, sample in samples_of(made))
    assert [key for key, times in keys.items() if times > 1] == []


def test_duplicates_repeat_and_valid_ones_do_not(made: tuple[DevicePlan, ...]) -> None:
    valid: dict[str, Counter[Content]] = defaultdict(Counter)
    for plan, sample in samples_of(made):
        if sample.mark is Mark.VALID:
            valid[plan.device][content(sample)] += 1
    of_user: dict[str, set[Content]] = defaultdict(set)
    for plan in made:
        of_user[plan.user] |= set(valid[plan.device])
    assert [times for counts in valid.values() for times in counts.values() if times > 1] == []
    strays = [s for p, s in samples_of(made) if s.mark is Mark.DUPLICATE and content(s) not in of_user[p.user]]
    assert strays == []


def test_conflicts_carry_a_known_uuid_and_a_content_of_their_own(made: tuple[DevicePlan, ...]) -> None:
    for plan in made:
        own = [sample for each, sample in samples_of(made) if each.user == plan.user]
        uuids = {sample.uuid for sample in own if sample.mark is Mark.VALID}
        contents = {content(sample) for sample in own if sample.mark is not Mark.CONFLICT}
        for sample in own:
            if sample.mark is Mark.CONFLICT:
                assert sample.uuid in uuids
                assert content(sample) not in contents


def test_every_reason_is_made(made: tuple[DevicePlan, ...]) -> None:
    seen = {sample.reason for _, sample in samples_of(made) if sample.reason}
    assert seen == set(REJECTION_REASONS) - {"day_closed"}
    assert seen - {"uuid_conflict"} == BAD_REASONS_MADE


def test_what_json_can_escape_or_spell_and_a_store_may_not_hold(made: tuple[DevicePlan, ...]) -> None:
    odd = [sample.as_json() for _, sample in samples_of(made) if sample.reason in ("bad_value", "bad_source")]
    for text in ("\\u0000", "\\ud83d", " 1" + "0" * 200, " -1" + "0" * 200):
        assert any(text in each for each in odd), text
    assert all(each.encode() for each in odd)


def test_bad_samples_have_uuids_of_their_own(made: tuple[DevicePlan, ...]) -> None:
    good = {sample.uuid for _, sample in samples_of(made) if sample.mark is not Mark.BAD}
    assert [s.key for _, s in samples_of(made) if s.mark is Mark.BAD and s.uuid in good] == []


def test_twins_differ_in_one_field_each(made: tuple[DevicePlan, ...]) -> None:
    twins = {s.key.rpartition("twin")[2] for _, s in samples_of(made) if "/twin" in s.key}
    assert twins == {"0", "1", "2", "3"}
    assert {s.type for _, s in samples_of(made) if "/twin" in s.key} == {kind.identifier for kind in SAMPLE_TYPES}


def test_a_near_twin_is_no_other_sample_of_the_stream(made: tuple[DevicePlan, ...]) -> None:
    """Two that differ in their value alone, as sleep at one time of two kinds: a twin of one would be the other."""
    kind = BY_IDENTIFIER["HKQuantityTypeIdentifierHeartRate"]
    stream = [each for _, each in samples_of(made) if each.mark is Mark.VALID and each.type == kind.identifier][:50]
    stream[42] = replace(stream[43], value=_other_value(kind, stream[43].value), key="other")
    owner = wearer(user=made[0].user, zone=made[0].zone)
    sent = _with_specials(stream, owner=owner, prefix="p", rng=random.Random(1))
    counts = Counter(content(each) for each in sent if each.mark is Mark.VALID)
    assert counts[content(stream[42])] == 1


def test_two_phones_of_one_person_share_some_samples(made: tuple[DevicePlan, ...]) -> None:
    first, second = made[0], made[1]
    assert first.user == second.user
    shared = [s for p, s in samples_of((second,)) if s.mark is Mark.DUPLICATE and "/copy" not in s.key]
    assert len(shared) > second.sample_count / 10


@pytest.mark.parametrize("spelling", list(Spelling), ids=[each.value for each in Spelling])
@pytest.mark.parametrize("value", [1.0, 0.1, 72.5, 1e-7, 123456789.125], ids=str)
def test_spellings_are_the_same_sample(spelling: Spelling, value: float) -> None:
    assert float(json.loads(spell_value(value, spelling=spelling))) == value
    at_us = 1_772_841_600_123_000
    at = datetime.fromisoformat(spell_time(at_us, spelling=spelling))
    assert int(at.astimezone(UTC).timestamp() * 1000) == at_us // 1000


def test_uuids_are_sent_as_a_phone_writes_them_and_otherwise(made: tuple[DevicePlan, ...]) -> None:
    sample = next(each for _, each in samples_of(made) if each.uuid is not None and each.mark is Mark.VALID)
    sent = [json.loads(each.as_json())["uuid"] for each in (sample, sample.respelt(Spelling.LOWER_CASE, key="copy"))]
    assert sent == [str(sample.uuid).upper(), sample.uuid]
    assert sent[0] != sent[1]


def test_digits_below_the_millisecond_would_be_rounded_up() -> None:
    at = datetime.fromisoformat(spell_time(1_772_841_600_123_000, spelling=Spelling.MICROSECONDS))
    assert at.microsecond % 1000 > 500


def test_wrong_units_are_such_as_a_phone_may_send(made: tuple[DevicePlan, ...]) -> None:
    units = {s.unit for _, s in samples_of(made) if s.reason == "wrong_unit" and s.type.endswith("BodyMass")}
    assert units == {"lb", None}
    pounds = [s for _, s in samples_of(made) if s.unit == "lb"]
    assert all(isinstance(s.value, float) and s.value > BY_IDENTIFIER[s.type].low * 2 for s in pounds)


def test_people_have_something_in_common(made: tuple[DevicePlan, ...]) -> None:
    common = [(plan, sample) for plan, sample in samples_of(made) if "/everybodys" in sample.key]
    assert {plan.device for plan, _ in common} == {plan.device for plan in made}
    for kind in SAMPLE_TYPES:
        of_type = [sample for _, sample in common if sample.type == kind.identifier]
        assert len({(content(sample), sample.uuid) for sample in of_type}) == 2
        assert {sample.source.kind for sample in of_type} == {"watch"}
    valid = Counter((plan.user, s.type) for plan, s in common if s.mark is Mark.VALID)
    assert set(valid.values()) == {2}


@pytest.mark.parametrize("zone", ["Australia/Adelaide", "Australia/Lord_Howe", "Pacific/Auckland"])
def test_the_hour_that_comes_twice_has_samples_both_times(zone: str) -> None:
    owner = wearer(user="u", zone=zone)
    steps = next(kind for kind in SAMPLE_TYPES if kind.kind is TypeKind.CUMULATIVE)
    before, after = [
        datetime.fromtimestamp(sample.start_us / 1e6, ZoneInfo(zone))
        for sample in landmarks(steps, owner=owner, prefix="p", mark=Mark.VALID)
        if "/before" in sample.key or "/after" in sample.key
    ]
    assert (before.date(), before.hour) == (after.date(), after.hour)
    assert before.utcoffset() != after.utcoffset()


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Adelaide"])
def test_somebody_sleeps_while_the_clock_is_changed(zone: str) -> None:
    sleep = next(kind for kind in SAMPLE_TYPES if kind.kind is TypeKind.SLEEP)
    [night] = [
        sample
        for sample in landmarks(sleep, owner=wearer(user="u", zone=zone), prefix="p", mark=Mark.VALID)
        if "/night" in sample.key
    ]
    assert str(night.value) in ASLEEP_STAGES
    begun, ended = (datetime.fromtimestamp(at / 1e6, ZoneInfo(zone)) for at in (night.start_us, night.end_us))
    assert ended.replace(tzinfo=None) - begun.replace(tzinfo=None) != timedelta(
        microseconds=night.end_us - night.start_us
    )


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"])
def test_midnight_is_met_to_the_second(zone: str) -> None:
    for kind in SAMPLE_TYPES:
        [spot] = [
            sample
            for sample in landmarks(kind, owner=wearer(user="u", zone=zone), prefix="p", mark=Mark.VALID)
            if "/midnight" in sample.key
        ]
        at_us = spot.end_us if kind.kind is TypeKind.SLEEP else spot.start_us
        met = datetime.fromtimestamp(at_us / 1e6, ZoneInfo(zone))
        assert (met.hour, met.minute, met.second, met.microsecond) == (0, 0, 0, 0)


def test_what_lasts_for_days_is_of_every_type_but_sleep() -> None:
    owner = wearer(user="u", zone="UTC")
    long = {
        kind.kind
        for kind in SAMPLE_TYPES
        for sample in landmarks(kind, owner=owner, prefix="p", mark=Mark.VALID)
        if sample.end_us - sample.start_us == 6 * 86_400_000_000
    }
    assert long == set(TypeKind) - {TypeKind.SLEEP}


def test_zones_without_a_change_have_no_such_hour() -> None:
    assert [list(clock_changes_us(zone)) for zone in ("UTC", "Asia/Tokyo", "Asia/Kolkata")] == [[], [], []]
    assert len(list(clock_changes_us("Europe/Berlin"))) == 1


def test_a_chunk_is_json(made: tuple[DevicePlan, ...]) -> None:
    for _, sample in samples_of(made):
        parsed = json.loads(sample.as_json())
        if sample.mark is not Mark.BAD:
            assert normal_source(parsed["source"]["id"]) == normal_source(sample.source.key)


def test_sources_overlap_in_time(made: tuple[DevicePlan, ...]) -> None:
    steps = next(kind for kind in SAMPLE_TYPES if kind.kind is TypeKind.CUMULATIVE)
    hours: dict[tuple[str, int], set[str]] = defaultdict(set)
    for plan, sample in samples_of(made):
        if sample.type == steps.identifier and sample.mark is Mark.VALID:
            hours[plan.user, sample.start_us // 3_600_000_000].add(sample.source.kind)
    assert max(len(kinds) for kinds in hours.values()) == 3


def test_the_next_sync_starts_from_the_anchor_and_repeats_a_little(made: tuple[DevicePlan, ...]) -> None:
    batch = made[0].batches[0]
    following = next_sync(made[0], batch=batch, anchor="here", turn=1, shape=SHAPE)
    assert (following.starting_anchor, following.type) == ("here", batch.type)
    assert {sample.mark for chunk in following.chunks for sample in chunk} == {Mark.VALID, Mark.DUPLICATE}


@pytest.mark.parametrize(("is_closed", "mark"), [(True, Mark.BAD), (False, Mark.VALID)], ids=["closed", "open"])
def test_late_samples_are_new_and_of_days_that_were_sent(
    made: tuple[DevicePlan, ...], is_closed: bool, mark: Mark
) -> None:
    sent: dict[str, set[tuple[str, date, date]]] = defaultdict(set)
    for plan, sample in samples_of(made):
        if sample.mark is Mark.VALID:
            sent[plan.user].add(_days(plan, sample))
    known = {(plan.user, content(sample)) for plan, sample in samples_of(made)}
    late = [
        (plan, sample)
        for plan in made
        for batch in plan.batches
        for chunk in late_sync(plan, batch=batch, anchor=None, turn=3, is_closed=is_closed, shape=SHAPE).chunks
        for sample in chunk
    ]
    contents = {(plan.user, content(sample)) for plan, sample in late}
    assert len(contents) == len(late) > 2 * len(made) * len(SAMPLE_TYPES)
    assert contents & known == set()
    assert [sample.key for plan, sample in late if _days(plan, sample) not in sent[plan.user]] == []
    assert {(sample.mark, sample.reason) for _, sample in late} == {(mark, "day_closed" if is_closed else None)}


def _days(plan: DevicePlan, sample: Sample) -> tuple[str, date, date]:
    zone = ZoneInfo(plan.zone)
    start, end = (datetime.fromtimestamp(at / 1e6, zone).date() for at in (sample.start_us, sample.end_us))
    return sample.type, start, end
