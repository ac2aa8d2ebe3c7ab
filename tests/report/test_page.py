"""The page in a real browser: what a reader sees, and that nothing is fetched from anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ElementHandle, Page

from harness import report
from tests.report import shortened

LINES = "tbody tr:not(.mark):not(.gap)"
CONTRAST = (Path(__file__).parent / "contrast.js").read_text()
DRAW_TIMEOUT_MS = 60_000
REMOTE = re.compile(r"""(?:src|href|action|poster|data|srcset)\s*=\s*["']?\s*(?:https?:)?//""", re.IGNORECASE)


@dataclass(slots=True)
class Visit:
    """An open page and everything that it complained about or asked for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def visiting(browser: Browser, path: Path, *, width: int = 1280, scheme: str = "light") -> Iterator[Visit]:
    """Open it; afterwards nothing may have gone wrong and nothing may have been fetched."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    visit = Visit(context.new_page())
    visit.page.on("console", lambda message: visit.errors.append(message.text) if message.type == "error" else None)
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    visit.page.goto(path.as_uri())
    yield visit
    assert visit.errors == []
    assert [url for url in visit.requests if not url.startswith(("data:", "blob:"))] == [path.as_uri()]
    context.close()


def draw(page: Page, section: str) -> ElementHandle:
    """Open a scenario, scroll to its chart and wait until it is drawn."""
    page.evaluate("id => { document.getElementById(id).open = true; }", section)
    chart = page.query_selector(f"#{section} .chart")
    assert chart is not None
    chart.scroll_into_view_if_needed()
    page.wait_for_function("chart => chart.dataset.drawn === 'yes'", arg=chart, timeout=DRAW_TIMEOUT_MS)
    return chart


def test_nothing_in_the_file_points_elsewhere(invalid_page: Path) -> None:
    assert REMOTE.findall(invalid_page.read_text()) == []


def test_the_verdict_comes_first_and_names_what_was_lost(browser: Browser, invalid_page: Path) -> None:
    with visiting(browser, invalid_page) as visit:
        assert visit.page.locator("h1").inner_text().split("\n")[0].startswith("✗ INVALID")
        assert "100 × lost in W6" in visit.page.locator("h1").inner_text()
        kinds = visit.page.locator("#anomalies h4").all_inner_texts()
        assert kinds == ["lost × 100", "silent × 1"]
        shown = visit.page.locator("#anomalies .of-kind > .scroll tbody")
        assert [shown.nth(index).locator("tr").count() for index in range(2)] == [3, 1]
        assert "17 more of 100; 80 more are counted only" in visit.page.locator("#anomalies").inner_text()


def test_the_best_clue_stands_under_the_headline(browser: Browser, short_page: Path) -> None:
    with visiting(browser, short_page) as visit:
        first = visit.page.locator("main > section").first
        assert first.locator("h2").inner_text() == "What the lost samples have in common"
        assert "3 of 3 chunks executed 2× are harmed; 0 of the 27 others." in first.inner_text()


def test_the_patch_is_in_the_page(browser: Browser, short_page: Path, tmp_path: Path) -> None:
    with visiting(browser, short_page) as visit:
        assert visit.page.locator("#patch .add").all_inner_texts() == [
            "+++ b/app/healthkit/importing/chunk.py\n",
            "+<most>\n",
        ]
        assert "files differed from the commit" in visit.page.locator("#environment").inner_text()
    lost = report.write(shortened.write(tmp_path / "run", patch=""))
    assert "/gone/change.diff; no copy of it was kept with the run." in lost.read_text()


def test_nothing_is_told_twice(browser: Browser, short_page: Path) -> None:
    """Few scenarios need no overview; one command replays; the times are told once, with unit and meaning."""
    with visiting(browser, short_page) as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        text = visit.page.locator("body").inner_text()
        assert visit.page.locator("#matrix, #matrix-text").count() == 0
        assert visit.page.locator("#s-W6 .command, #environment .command").count() == 1
        assert text.count("CLAIM_TIMEOUT_S") == 1
        assert "10.0 s — a frozen holder's claim may be taken over" in text


def test_one_history_is_open(browser: Browser, short_page: Path) -> None:
    with visiting(browser, short_page) as visit:
        opened = visit.page.eval_on_selector_all("#s-W6 details.told", "all => all.map(one => one.open)")
        assert opened == [True, False, False]


def test_words_are_explained_where_they_stand(browser: Browser, short_page: Path) -> None:
    with visiting(browser, short_page) as visit:
        word = visit.page.locator("#common a.term", has_text="chunks").first
        assert (word.get_attribute("title") or "").startswith("a numbered part of a batch")
        entry = visit.page.locator(word.get_attribute("href") or "")
        assert entry.inner_text() == "chunk"


def test_a_paper_has_the_charts(browser: Browser, short_page: Path) -> None:
    """The chart of the open scenario is drawn without scrolling to it, and fits the paper."""
    with visiting(browser, short_page) as visit:
        visit.page.wait_for_selector("#s-W6 .chart[data-drawn=yes]", timeout=DRAW_TIMEOUT_MS)
        visit.page.emulate_media(media="print")
        visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        visit.page.wait_for_function("document.querySelector('#s-W6 .chart .main-svg').clientWidth <= 700")
        visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
        visit.page.wait_for_function("document.querySelector('#s-W6 .chart .main-svg').clientWidth > 1000")


def test_every_panel_of_the_chart_is_drawn(browser: Browser, invalid_page: Path) -> None:
    with visiting(browser, invalid_page) as visit:
        chart = draw(visit.page, "s-W6")
        names = chart.evaluate(
            "chart => chart.data.filter(t => t.visible !== 'legendonly' && (t.x || []).length).map(t => t.name)"
        )
        assert set(names) == {
            *("healthy", "starting", "unhealthy", "frozen", "down", "services"),
            *("queue default", "queue high", "unacked", "DONE", "PENDING", "FAILED"),
            "chunk with lost samples",
            *("acknowledged", "present in Postgres", "median", "worst", "refused", "no good answer"),
            *("api", "worker", "beat", "lab"),
        }
        paths = chart.evaluate("chart => chart.querySelectorAll('.scatterlayer path.js-line').length")
        assert paths >= 14
        bars = chart.evaluate("chart => chart.querySelectorAll('.barlayer .point path').length")
        assert bars >= 7
        shaded = chart.evaluate("chart => chart.layout.shapes.filter(s => s.type === 'rect').map(s => [s.x0, s.x1])")
        assert shaded == [[12, 15.4]]


def test_zoom_and_hover(browser: Browser, invalid_page: Path) -> None:
    with visiting(browser, invalid_page) as visit:
        chart = draw(visit.page, "s-W6")
        visit.page.locator("#s-W6 [data-zoom=fault]").press("Enter")
        visit.page.wait_for_function("chart => chart.layout.xaxis.range[0] === 10", arg=chart)
        assert chart.evaluate("chart => chart.layout.xaxis.range") == [10, 19.4]
        visit.page.locator("#s-W6 [data-zoom=all]").press("Enter")
        visit.page.wait_for_function("chart => chart.layout.xaxis.range[0] === 0", arg=chart)
        chart.hover(position={"x": 600, "y": 330}, force=True)
        visit.page.wait_for_function("chart => chart.querySelector('.hoverlayer').textContent !== ''", arg=chart)
        hovered = visit.page.locator("#s-W6 .hoverlayer").text_content() or ""
        assert "queue default" in hovered
        assert "present in Postgres" in hovered


def test_the_chart_follows_the_colour_scheme(browser: Browser, invalid_page: Path) -> None:
    with visiting(browser, invalid_page, scheme="light") as visit:
        chart = draw(visit.page, "s-W6")
        light = chart.evaluate("chart => chart.layout.paper_bgcolor")
        visit.page.emulate_media(color_scheme="dark")
        visit.page.wait_for_function("([chart, was]) => chart.layout.paper_bgcolor !== was", arg=[chart, light])
        assert chart.evaluate("chart => chart.layout.paper_bgcolor") == "#14181c"


def test_the_log_filter(browser: Browser, invalid_page: Path) -> None:
    with visiting(browser, invalid_page) as visit:
        draw(visit.page, "s-W6")
        panel = visit.page.locator("#s-W6 .logs")
        panel.scroll_into_view_if_needed()
        visit.page.wait_for_selector("#s-W6 .logs tbody tr", state="attached")
        panel.locator("[data-log=text]").fill("chunk_started")
        assert panel.locator(LINES).count() == 1
        panel.locator("[data-log=text]").fill("")
        panel.locator("[data-log=loud]").check()
        loud = panel.locator(LINES).all_inner_texts()
        assert len(loud) == 2
        assert "hunter2" not in "".join(loud)
        panel.locator("[data-log=loud]").uncheck()
        panel.locator("[data-log=replica]").select_option("postgres")
        assert panel.locator(LINES).count() == 3


def test_an_id_gives_its_whole_life_and_gaps_are_told(browser: Browser, short_page: Path) -> None:
    with visiting(browser, short_page) as visit:
        panel = visit.page.locator("#s-W6 .logs")
        panel.scroll_into_view_if_needed()
        visit.page.wait_for_selector("#s-W6 .logs tbody tr", state="attached")
        assert panel.locator("[data-log=count]").inner_text() == "600 of 4,067 lines"
        gaps = panel.locator("tbody tr.gap").all_inner_texts()
        left = [int(re.sub(r"\D", "", gap)) for gap in gaps]
        assert sum(left) == 4_067 - 600
        panel.locator("[data-find]").first.click()
        assert panel.locator("tbody tr.named").count() == 5
        assert panel.locator("tbody tr.gap").count() == 0
        assert "long after the fault" in panel.locator("tbody").inner_text()


def test_the_timeline_in_words(browser: Browser, invalid_page: Path) -> None:
    with visiting(browser, invalid_page) as visit:
        draw(visit.page, "s-W6")
        visit.page.locator("#s-W6 .events > summary").press("Enter")
        visit.page.wait_for_selector("#s-W6 table[data-events] tbody tr")
        words = visit.page.locator("#s-W6 table[data-events]").inner_text()
        assert "+12.00 s\tkill_worker injected (worker-1)" in words
        assert "worker-1 became down" in words
        assert "/health/imports turned 503 on 1 replica(s)" in words


def test_links_resolve(browser: Browser, invalid_page: Path) -> None:
    with visiting(browser, invalid_page) as visit:
        links = visit.page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))")
        assert len(links) > 20
        inner = {link for link in links if link.startswith("#")}
        assert [link for link in inner if visit.page.query_selector(link) is None] == []
        assert [link for link in set(links) - inner if not (invalid_page.parent / link).is_file()] == []


def test_a_link_to_a_scenario_opens_it(browser: Browser, invalid_page: Path) -> None:
    with visiting(browser, invalid_page) as visit:
        section = visit.page.locator("#s-B3")
        assert section.get_attribute("open") is None
        visit.page.locator("#table a[href='#s-B3']").press("Enter")
        visit.page.wait_for_selector("#s-B3[open]")


def test_the_matrix_filter(browser: Browser, large_page: Path) -> None:
    with visiting(browser, large_page) as visit:
        visit.page.locator("#matrix-verdict").select_option("INVALID")
        assert visit.page.locator("#matrix-table tbody tr:not([hidden])").count() == 1
        assert visit.page.locator("#matrix-count").inner_text() == "1 of 100"


def test_planted_defects_that_escaped_come_first_and_can_be_found(browser: Browser, planted_page: Path) -> None:
    with visiting(browser, planted_page) as visit:
        assert visit.page.locator("#anomalies .whose").first.inner_text() == "W5 × no_sweeper, no fault"
        visit.page.locator("#matrix-verdict").select_option("not met")
        shown = visit.page.locator("#matrix-table tbody tr:not([hidden]) th")
        assert shown.all_inner_texts() == ["W5 × no_sweeper, no fault", "B2 × no_sweeper"]
        visit.page.locator("#matrix-verdict").select_option("VALID")
        assert shown.count() == 5
        visit.page.locator("#close-all").press("Enter")
        visit.page.locator("#open-bad").press("Enter")
        assert visit.page.locator("details.scenario[open] .label").all_inner_texts() == [
            "W5 × no_sweeper, no fault",
            "B2 × no_sweeper",
        ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_text(browser: Browser, invalid_page: Path, scheme: str) -> None:
    """Every visible text has a contrast of at least 4.5 against what is behind it (WCAG AA)."""
    with visiting(browser, invalid_page, scheme=scheme) as visit:
        poor = visit.page.evaluate(CONTRAST)
        assert poor == []


def test_readable_on_a_phone(browser: Browser, invalid_page: Path) -> None:
    with visiting(browser, invalid_page, width=390) as visit:
        draw(visit.page, "s-W6")
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("width", [400, 1280])
def test_tables_show_their_content(browser: Browser, short_page: Path, width: int) -> None:
    """No box that must be scrolled within, except for the log lines: not sideways on a phone, and never downwards."""
    with visiting(browser, short_page, width=width) as visit:
        draw(visit.page, "s-W6")
        visit.page.locator("#s-W6 .logs").scroll_into_view_if_needed()
        visit.page.wait_for_selector("#s-W6 .logs tbody tr", state="attached")
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width
        hidden = "all => all.filter(e => e.scrollHeight > e.clientHeight + 2 || e.scrollWidth > e.clientWidth + 2)"
        names = visit.page.eval_on_selector_all(".scroll:not(.tall)", f"{hidden}.map(e => e.ariaLabel)")
        assert names == []


def test_tables_have_headers_and_controls_have_names(browser: Browser, invalid_page: Path) -> None:
    with visiting(browser, invalid_page) as visit:
        bare = "all => all.filter(t => t.rows.length && !t.querySelector('th[scope]')).length"
        assert visit.page.eval_on_selector_all("table", bare) == 0
        unnamed = "all => all.filter(e => !e.labels?.length && !e.textContent.trim() && !e.ariaLabel).length"
        assert visit.page.eval_on_selector_all("input, select, button", unnamed) == 0


def test_a_hundred_scenarios_open_without_drawing_them(browser: Browser, large_page: Path) -> None:
    """The library is not even unpacked, and no chart drawn, before a chart comes into view."""
    assert large_page.stat().st_size < 6_000_000
    with visiting(browser, large_page) as visit:
        assert visit.page.locator("details.scenario").count() == 100
        assert visit.page.evaluate("typeof window.Plotly") == "undefined"
        draw(visit.page, "s-X1")
        assert visit.page.locator(".chart[data-drawn]").count() == 1
