"""docs/writing-a-scenario.md shows a row as it is, and tells of everything that an Experiment offers."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields

from harness.experiment.experiment import Experiment
from harness.lab_home import PROJECT

PAGE = (PROJECT / "docs" / "writing-a-scenario.md").read_text(encoding="utf-8")
TOLD = set(re.findall(r"`x\.(\w+)", PAGE))
# Called around a scenario, not by it.
OF_ITS_LIFE = {"note_exits", "shape", "undo"}


def test_the_example_is_a_row_as_it_is() -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    bare = re.sub(r"^ *#.*\n|  #.*$", "", example, flags=re.MULTILINE)
    assert bare in (PROJECT / "scenarios" / "test_workers.py").read_text(encoding="utf-8")


def test_all_that_an_experiment_can_do_is_told() -> None:
    able = {name for name, _ in inspect.getmembers(Experiment, inspect.isfunction) if not name.startswith("_")}
    assert able - OF_ITS_LIFE - TOLD == set()


def test_nothing_is_told_that_an_experiment_has_not() -> None:
    assert {"inject", "later"} <= TOLD
    assert TOLD - {each.name for each in fields(Experiment)} - set(dir(Experiment)) == set()
