"""The raw samples of a chunk, as a phone sends them: JSON text of an array."""

import json
from typing import Any

import orjson

INTEGER_DIGITS_MAX = 4_300  # Python makes no longer ones of text


class UnreadableSamples(Exception):
    """The text is not a JSON array."""


def samples_parse(text: str) -> list[Any]:
    """The samples in the text. Raises: `UnreadableSamples`."""
    try:
        samples = orjson.loads(text.encode("utf-8", "surrogatepass"))
    except orjson.JSONDecodeError as error:
        if "limit exceeded" in str(error):  # Postgres has no room for what is nested deeper than that
            raise UnreadableSamples("nested too deeply") from None
        samples = _parse_leniently(text)
    if not isinstance(samples, list):
        raise UnreadableSamples("expected a JSON array")
    return samples


def _parse_leniently(text: str) -> Any:
    """JSON that orjson refuses: numbers beyond float64, lone surrogates. Such samples are rejected one by one later."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_int=_number)
    except (ValueError, RecursionError):
        raise UnreadableSamples("expected JSON") from None


def _number(digits: str) -> int | float:
    """An integer, kept digit by digit, as long as Python makes one; beyond that it is infinite, as for float64."""
    return int(digits) if len(digits) <= INTEGER_DIGITS_MAX else float(digits)


def _refuse(name: str) -> None:
    """NaN and Infinity, which Python's parser takes, are no JSON."""
    raise ValueError(name)
