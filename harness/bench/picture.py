"""Draws the figures: one SVG, made by hand so that it needs no browser."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from harness.bench.figures import LIMITS, verdict_of

WIDTH, ROW, LEFT, BAR = 860, 34, 260, 380
COLOURS = {"goal": "#2e7d32", "floor": "#f9a825", "missed": "#c62828", "-": "#546e7a"}


def draw(result: Mapping[str, Any], directory: Path) -> Path:
    """Write `latest.svg`: each figure as a bar against its goal (the line); colours say goal, floor or missed."""
    # A rehearsal has met no goal: its ten millions are a hundred thousand.
    rows = [_row(number, key, float(result[key]), is_full=bool(result["is_full"])) for number, key in enumerate(LIMITS)]
    height = ROW * (len(LIMITS) + 2)
    note = "" if result["is_full"] else " (rehearsal: a hundredth of the sizes)"
    title = f"bench {result['at']}, {result['machine']['cpus']} cores, load {result['machine']['load_1m']:.1f}{note}"
    path = directory / "latest.svg"
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif"'
        f' font-size="13"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="10" y="22" font-weight="bold">{escape(title)}</text>{"".join(rows)}</svg>\n',
        encoding="utf-8",
    )
    return path


def _row(number: int, key: str, value: float, *, is_full: bool) -> str:
    top = ROW * (number + 1) + 8
    verdict = verdict_of(key, value) if is_full else "-"
    goal, floor = LIMITS[key]
    words = f"{value:.3g} (goal {goal:g}, floor {floor:g}: {verdict})"
    # Half of the bar's room is the goal, so that both better and worse can be seen.
    length = min(1.0, value / goal / 2) * BAR
    return (
        f'<text x="10" y="{top + 14}">{escape(key)}</text>'
        f'<rect x="{LEFT}" y="{top}" width="{max(2.0, length):.0f}" height="18" fill="{COLOURS[verdict]}"/>'
        f'<line x1="{LEFT + BAR // 2}" x2="{LEFT + BAR // 2}" y1="{top - 3}" y2="{top + 21}" stroke="#000"/>'
        f'<text x="{LEFT + 8}" y="{top + 14}" fill="#000">{escape(words)}</text>'
    )
