"""docs/operating.md lists the problem codes, the metrics and the log events that rows listen for, all of them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from backend import metrics
from backend.health.problem import MAX_LISTED, ProblemCode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
COUNTED = "CounterMetricFamily"


def section(title: str) -> str:
    """The page from one heading to the next."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)


def test_every_problem_code_is_told_once() -> None:
    assert sorted(first_cells(section("What does not move"))) == sorted(code.value for code in ProblemCode)
    assert f"at most {MAX_LISTED} problems" in section("What does not move")


def test_every_metric_is_told_as_it_is_exposed() -> None:
    told = re.findall(r"^\| `(\w+)` \| (.*?) \| (.+?) \|$", section("Metrics"), re.MULTILINE)
    assert sorted(told) == sorted(exposed())


def test_every_event_that_a_row_listens_for_is_told() -> None:
    scenarios = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "scenarios").glob("test_*.py"))
    heard = set(re.findall(r'"log:(\w+)"', scenarios))
    assert heard
    assert heard - set(first_cells(section("Log lines"))) == set()


def test_every_event_that_is_told_is_logged() -> None:
    app = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "app").rglob("*.py"))
    assert [name for name in first_cells(section("Log lines")) if f'"{name}"' not in app] == []


def exposed() -> Iterator[tuple[str, str, str]]:
    """Name, labels and meaning of every metric in the module, as Prometheus gets it."""
    tree = ast.parse(Path(metrics.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Name(id=family), args=[ast.Constant(value=str(name)), ast.Constant(value=str(text))]
            ):
                labels = [ast.literal_eval(each.value) for each in node.keywords if each.arg == "labels"]
                yield _name(name, is_counter=family == COUNTED), ", ".join(*labels), text
            case ast.Tuple(elts=[*before, ast.Constant(value=str(name)), ast.Constant(value=str(text))]):
                if name.startswith("app_"):
                    yield _name(name, is_counter=bool(before)), "", text


def _name(name: str, *, is_counter: bool) -> str:
    return f"{name}_total" if is_counter else name
