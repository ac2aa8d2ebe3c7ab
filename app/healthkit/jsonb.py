"""Keeping any JSON value in a jsonb column, which has no room for some of them, and getting it back as it was.

Unfit are NUL, lone surrogates and what is no number (NaN, Infinity). A value that holds one is kept as text:
{"raw": "<the value as JSON>"}; and so is one that looks like that already, or the two could not be told apart.
"""

import json
import re
from typing import Any, Final

_RAW: Final = "raw"
# JSON's escape of NUL: a backslash that is not itself escaped.
_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def jsonb_text(value: Any) -> str:
    """JSON text that Postgres takes as jsonb; what JSON has no word for (a date) becomes a string."""
    if not _is_wrapper(value):
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
            text.encode()
        except ValueError:  # not a number; a lone surrogate
            pass
        else:
            if not _NUL.search(text):
                return text
    return json.dumps({_RAW: json.dumps(value, default=str)})


def jsonb_value(text: str) -> Any:
    """The value of which `jsonb_text` made what a column holds."""
    value = json.loads(text)
    try:
        return json.loads(value[_RAW]) if _is_wrapper(value) else value
    except ValueError:  # from before what looks wrapped was wrapped itself
        return value


def _is_wrapper(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {_RAW} and isinstance(value[_RAW], str)
