"""What jsonb has no room for is kept as text, and comes back as it was; so does what only looks like it."""

import json
import math
from typing import Any

import pytest

from healthkit.database import fetch_all
from healthkit.jsonb import jsonb_text, jsonb_value


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize(
    ("value", "is_wrapped"),
    [
        pytest.param({"name": "📱 Infinity NaN"}, False, id="emoji and words"),
        pytest.param(["\\u0000", r"\\u0000 \ud83d"], False, id="text like escapes"),
        pytest.param(10**400, False, id="a number beyond floats"),
        pytest.param("a\x00b", True, id="NUL"),
        pytest.param("\\\x00", True, id="NUL behind a backslash"),
        pytest.param({"a\x00b": 1}, True, id="NUL in a name"),
        pytest.param(["\ud83d"], True, id="half a character"),
        pytest.param([math.inf], True, id="no number"),
        pytest.param({"raw": "[1]"}, True, id="looks wrapped"),
        pytest.param({"raw": "a\x00b"}, True, id="looks wrapped, and must be"),
        pytest.param({"raw": "[1]", "task": "t"}, False, id="one of several"),
    ],
)
def test_a_value_comes_back_from_the_database_as_it_was(value: Any, is_wrapped: bool) -> None:
    [(stored,)] = fetch_all("SELECT ($1::jsonb)::text", jsonb_text(value))
    assert jsonb_value(stored) == value
    assert (json.loads(stored) != value) is is_wrapped


def test_what_was_kept_before_wrapped_looks_were_wrapped_is_read_as_it_is() -> None:
    assert jsonb_value('{"raw": "no JSON"}') == {"raw": "no JSON"}
