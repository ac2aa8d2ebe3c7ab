"""docs/configuration.md lists exactly the variables of the table, with what the lab sets; the app reads no others."""

import ast
from collections.abc import Iterator
from pathlib import Path

from backend.env import Variable, variables
from backend.service import Service
from harness.times import LAB_ENV

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "configuration.md"
APP = ROOT / "app"
# Set by the app itself, never by a deployment.
OWN = {"DJANGO_SETTINGS_MODULE"}
# Checked by the app, used by others: Celery's process library; the legacy link, which is not part of this app.
READ_ELSEWHERE = {"REMAP_SIGTERM", "COMPASS_ENABLED", "COMPASS_DB_USER"}


def test_configuration_page_is_the_table() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    documented = [line for line in lines if line.startswith("| `")]
    assert documented == [_row(name, variable) for name, variable in variables()]


def test_no_variable_is_read_past_the_table() -> None:
    known = {name for name, _ in variables()} | OWN
    read = {name for node in _nodes() if (name := _variable_read(node)) is not None}
    assert "SERVICE_NAME" in read  # the search finds something
    assert read - known == set()


def test_every_variable_of_the_table_is_used() -> None:
    used = {node.attr.upper() for node in _nodes() if isinstance(node, ast.Attribute)}
    assert {name for name, _ in variables()} - used == READ_ELSEWHERE


def _nodes() -> Iterator[ast.AST]:
    for path in sorted(APP.rglob("*.py")):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def _variable_read(node: ast.AST) -> str | None:
    """The name in `environ.get("NAME")`, `os.getenv("NAME")`, `environ["NAME"]` or `"NAME" in environ`."""
    match node:
        case ast.Call(func=ast.Attribute(value=where), args=[ast.Constant(value=str(name)), *_]):
            pass
        case ast.Subscript(value=where, slice=ast.Constant(value=str(name))):
            pass
        case ast.Compare(left=ast.Constant(value=str(name)), comparators=[where]):
            pass
        case _:
            return None
    return name if ast.unparse(where) in ("os", "environ", "os.environ") else None


def _row(name: str, variable: Variable) -> str:
    lab = LAB_ENV.get(name, "–")
    return f"| `{name}` | {_required_by(variable)} | {_default(variable)} | {lab} | {variable.meaning} |"


def _required_by(variable: Variable) -> str:
    if not variable.required_by:
        return "–"
    services = ", ".join(sorted(service.value for service in variable.required_by))
    named = "all" if variable.required_by == frozenset(Service) else services
    return named if variable.flag is None else f"{named} when {variable.flag.upper()}"


def _default(variable: Variable) -> str:
    match variable.default:
        case bool() as value:
            return str(value).lower()
        case float() as value:
            return str(int(value)) if value.is_integer() else str(value)
        case tuple() as values if values:
            return ",".join(f"{value:g}" for value in values)
        case value:
            return str(value) if value and not variable.required_by else "–"
