"""A real browser for the report's page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from harness import report
from tests.needs import find_browser
from tests.report import handmade, shortened

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium from PATH, with a user data directory of its own that goes when it ends.

    Not for longer than a file: Playwright leaves an event loop running in this thread, in which Django refuses to work.
    """
    executable = find_browser()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, headless=True, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def invalid_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run that lost samples."""
    return report.write(handmade.write_invalid_run(tmp_path_factory.mktemp("run") / "20261103T081500Z-cafe"))


@pytest.fixture(scope="session")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of a hundred scenarios."""
    return report.write(handmade.write_large_run(tmp_path_factory.mktemp("run") / "20261103T081500Z-beef"))


@pytest.fixture(scope="session")
def planted_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of planted defects, of which two did not end as declared."""
    return report.write(handmade.write_planted_run(tmp_path_factory.mktemp("run") / "20261103T081500Z-f00d"))


@pytest.fixture(scope="session")
def short_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run whose chunks lose samples when they are executed again."""
    return report.write(shortened.write(tmp_path_factory.mktemp("run") / "20261103T081500Z-dead"))
