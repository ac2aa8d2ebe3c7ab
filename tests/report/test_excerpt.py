"""Log lines: in their place, and the ones that matter always among those that are kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.report import excerpt as room
from harness.report.accused import Accused, accused
from harness.report.excerpt import excerpt
from harness.report.logs import read_logs
from harness.report.record import ScenarioRecord, read
from tests.report import handmade, shortened
from tests.report.handmade import lines_of

NOBODY = Accused((), frozenset(), frozenset(), frozenset())


@pytest.fixture
def scenario(tmp_path: Path) -> ScenarioRecord:
    return read(handmade.write_invalid_run(tmp_path / "run")).scenarios[1]


@pytest.fixture
def short(tmp_path: Path) -> ScenarioRecord:
    return read(shortened.write(tmp_path / "short")).scenarios[1]


def test_log_lines_are_placed_in_time_and_redacted(scenario: ScenarioRecord) -> None:
    kept = excerpt(scenario, accused(scenario), lines_of(scenario)).kept
    assert [one.at for one in kept] == sorted(one.at for one in kept)
    text = "\n".join(one.line.text for one in kept)
    assert "hunter2" not in text
    assert "s3cret" not in text
    [continued] = [one for one in kept if "Continuation" in one.line.text]
    assert continued.at == datetime(2026, 11, 3, 8, 15, 12, 70_000, tzinfo=UTC)


def test_of_too_many_log_lines_the_loud_ones_are_kept(scenario: ScenarioRecord) -> None:
    quiet = [json.dumps({"ts": handmade.at(12.0), "level": "INFO", "message": f"quiet {n}"}) for n in range(2_000)]
    loud = json.dumps({"ts": handmade.at(20.0), "level": "ERROR", "message": "the one that matters"})
    (scenario.directory / "logs" / "beat-1.log").write_text("\n".join([*quiet, loud]))
    found = excerpt(scenario, NOBODY, lines_of(scenario))
    assert len(found.kept) == room.SHOWN
    assert found.total > 2_000
    assert "the one that matters" in [one.line.text for one in found.kept]


def test_lines_that_name_what_was_harmed_are_kept_from_its_whole_life(short: ScenarioRecord) -> None:
    """Four thousand requests lie nearer to the fault, and one of the lines is long after it."""
    found = excerpt(short, accused(short), lines_of(short))
    named = [one for one in found.kept if one.is_accused]
    assert len(named) == 3 * 4 + 1
    assert all(one.is_shown for one in named)
    assert named[-1].line.event == "batch_seen"
    assert sum(one.is_shown for one in found.kept) == room.SHOWN
    assert len(found.kept) == room.SEARCHABLE


def test_noise_goes_first(short: ScenarioRecord) -> None:
    told = [
        one.line for one in excerpt(short, accused(short), lines_of(short)).kept if one.is_shown and not one.is_accused
    ]
    assert sum(line.replica.startswith("worker") for line in told) == 27 * 2


def test_numbers_tell_how_many_lines_are_left_out(short: ScenarioRecord) -> None:
    found = excerpt(short, accused(short), lines_of(short))
    numbers = [one.number for one in found.kept]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == found.total - 1


def test_a_banner_has_the_time_that_it_names(tmp_path: Path) -> None:
    """A worker that was started again prints lines without a time: they are no continuation of its life before."""
    logs = tmp_path / "logs"
    logs.mkdir()
    lines = [
        json.dumps({"ts": "2026-11-28T06:09:06.148+00:00", "level": "INFO", "message": "last words"}),
        "absolutely not recommended!",
        "-- ******* ---- Linux-6.18 2026-11-28 06:09:08",
        json.dumps({"ts": "2026-11-28T06:09:08.900+00:00", "level": "INFO", "message": "ready"}),
        "due at 2026-11-28 23:00:00, which is to come",
        json.dumps({"ts": "2026-11-28T06:09:09.500+00:00", "level": "INFO", "message": "busy"}),
        "overdue since 2026-11-28 03:00:00",
    ]
    (logs / "worker-2.log").write_text("\n".join(lines))
    seconds = [line.at.second + line.at.microsecond / 1e6 for line in read_logs(tmp_path) if line.at is not None]
    assert seconds == [6.148, 8.0, 8.0, 8.9, 8.9, 9.5, 9.5]
