"""Takes the pictures of `docs/pictures` from a run: `python -m tests.report.pictures RUN SCENARIO`.

SCENARIO is the address of one of its scenarios in the page, such as s-W6-no-sweeper.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from harness import report
from tests.needs import find_browser
from tests.report.conftest import FLAGS

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"


def take(run: Path, section: str) -> None:
    """Write verdict, timeline, history, dark and phone pictures."""
    page_file = report.write(run)
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), headless=True, args=list(FLAGS))
        page = _open(browser, page_file, section, width=1280)
        page.locator(f"#{section} .chart").screenshot(path=PICTURES / "report-timeline.png")
        history = page.locator(f"#{section} .history").first
        if history.count():
            history.scroll_into_view_if_needed()
            history.screenshot(path=PICTURES / "report-history.png")
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=PICTURES / "report-verdict.png")
        dark = _open(browser, page_file, section, width=1280, is_dark=True)
        dark.locator(f"#{section} .chart").screenshot(path=PICTURES / "report-dark.png")
        phone = _open(browser, page_file, section, width=390)
        phone.evaluate("scrollTo(0, 0)")
        phone.screenshot(path=PICTURES / "report-phone.png")
        browser.close()


def _open(browser: Browser, path: Path, section: str, *, width: int, is_dark: bool = False) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if is_dark else "light")
    page.goto(f"{path.resolve().as_uri()}#{section}")
    chart = page.wait_for_selector(f"#{section} .chart")
    if chart is None:
        raise SystemExit(f"{section} has no chart")
    chart.scroll_into_view_if_needed()
    page.wait_for_function("chart => chart.dataset.drawn === 'yes'", arg=chart)
    return page


if __name__ == "__main__":
    take(Path(sys.argv[1]), sys.argv[2])
