"""Rows are read first, logs are cut afterwards: what a row tells of was heard, or was it."""

from pathlib import Path

import pytest

from harness.evidence import observe as observation
from harness.evidence.log_cut import LogCut
from harness.evidence.tables import open_tables

LINE = '{"ts": "2026-01-05T08:00:01+00:00", "event": "tick_missed", "level": "WARNING", "message": "tick missed"}\n'


def test_what_is_logged_until_the_rows_were_read_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stood still between a cut of the logs and the reading of the rows made a healthy beat silent."""
    stack_logs = tmp_path / "stack"
    stack_logs.mkdir()
    log = stack_logs / "beat-1.log"
    log.write_text("before the scenario\n", encoding="utf-8")
    cut = LogCut.now(stack_logs)

    def read_rows(*_args: object, **_options: object) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(LINE)

    monkeypatch.setattr(observation, "observe_postgres", read_rows)
    monkeypatch.setattr(observation, "observe_redis", lambda *_: None)
    with open_tables() as tables:
        observation.observe(tables, directory=tmp_path, dsn="", redis_url="", logs=cut)
        heard = tables.execute("SELECT event FROM log_lines").fetchall()
    assert heard == [("tick_missed",)]
    assert (tmp_path / "logs" / log.name).read_text(encoding="utf-8") == LINE
