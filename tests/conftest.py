"""Two marks: `stack` for tests that start whole stacks, `needs(…)` for what the machine must have (see tests/needs.py).

A fixture named like a need (`engine`, `browser`) is one too. A test whose need is not met is deselected, and the end of
the run says so with the reason; with REQUIRE=1 it fails. Files are tested side by side (pytest-xdist): each of its
workers collects all of them, and tells the process that reports.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.needs import PROBLEMS

UNMET = pytest.StashKey[str]()
DESELECTED = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks; property tests try the same examples each time, and no busy machine is too slow for them."""
    settings.register_profile(
        "lab", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("lab")
    config.addinivalue_line("markers", "stack: starts whole stacks; `make test-stack` runs these, `make test` the rest")
    config.addinivalue_line("markers", "needs(*names): what the machine must have; a key of tests.needs.PROBLEMS")
    # Of scenarios, which tests look up without the plugin that plays them.
    config.addinivalue_line("markers", "row(row): a row of the hazard catalogue")


def needs_of(item: pytest.Item) -> set[str]:
    """By its marks and by the names of its fixtures."""
    marked = {name for mark in item.iter_markers("needs") for name in mark.args}
    return marked | (set(getattr(item, "fixturenames", ())) & set(PROBLEMS))


@pytest.hookimpl(trylast=True)  # after -m and -k: nobody looks for an engine that no test asks for
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what cannot run here, or note why it will fail."""
    problems = {name: PROBLEMS[name]() for name in sorted(set().union(*map(needs_of, items)))}
    kept, dropped = [], []
    reasons: Counter[str] = Counter()
    for item in items:
        unmet = [reason for name in sorted(needs_of(item)) if (reason := problems[name]) is not None]
        if unmet and not os.environ.get("REQUIRE"):
            reasons.update(unmet)
            dropped.append(item)
            continue
        if unmet:
            item.stash[UNMET] = "; ".join(unmet)
        kept.append(item)
    config.stash[DESELECTED] = reasons
    config.hook.pytest_deselected(items=dropped)
    items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail what was required and cannot run."""
    unmet = item.stash.get(UNMET, None)
    if unmet is not None:
        pytest.fail(f"REQUIRE is set, and this machine lacks what the test needs: {unmet}", pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells what it has left out."""
    told: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    left_out: Counter[str] = session.config.stash.get(DESELECTED, Counter())
    if told is not None:
        told["deselected"] = dict(left_out)  # plain types pass between the processes


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended; one that crashed tells nothing."""
    told: dict[str, Any] = getattr(node, "workeroutput", {})
    if "deselected" in told:
        node.config.stash[DESELECTED] = Counter(told["deselected"])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was not tested."""
    for reason, count in sorted(config.stash.get(DESELECTED, Counter()).items()):
        terminalreporter.write_line(f"NOT TESTED here: {count} tests deselected: {reason}")
