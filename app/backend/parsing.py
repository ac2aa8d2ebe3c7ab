"""Parsers of environment values: text in, typed value out.

A parser raises `Malformed` with what it expected; it never repeats the value, which may be a secret.
"""

import math
from collections.abc import Callable
from urllib.parse import urlsplit


class Malformed(ValueError):
    """A value that does not parse; the message says what was expected."""


def text(value: str) -> str:
    """Any text that is not blank; the caller has already refused a blank one."""
    return value


def csv(value: str) -> tuple[str, ...]:
    """Comma-separated, not empty, no blank element."""
    parts = tuple(part.strip() for part in value.split(","))
    if not all(parts):
        raise Malformed("expected a comma-separated list without blank elements")
    return parts


def boolean(value: str) -> bool:
    """Only the spellings `true` and `false`, in any case: `yes`, `on` and `1` mean other things elsewhere."""
    match value.lower():
        case "true":
            return True
        case "false":
            return False
        case _:
            raise Malformed("expected true or false")


def seconds(value: str) -> float:
    """A duration in seconds: finite and above zero."""
    try:
        number = float(value)
    except ValueError:
        raise Malformed("expected a number of seconds") from None
    if not math.isfinite(number) or number <= 0:
        raise Malformed("expected a finite number of seconds above zero")
    return number


def seconds_list(value: str) -> tuple[float, ...]:
    """Comma-separated durations in seconds."""
    return tuple(seconds(part) for part in csv(value))


def count(value: str) -> int:
    """A whole number of at least one."""
    try:
        number = int(value)
    except ValueError:
        raise Malformed("expected a whole number") from None
    if number < 1:
        raise Malformed("expected a whole number of at least 1")
    return number


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser that accepts exactly `choices`."""

    def parse(value: str) -> str:
        if value not in choices:
            raise Malformed(f"expected one of {', '.join(choices)}")
        return value

    return parse


def url(*schemes: str, needs_path: bool = False) -> Callable[[str], str]:
    """A parser of URLs with one of `schemes` and a host (or, for a Unix socket, `?host=/directory`)."""

    def parse(value: str) -> str:
        expected = f"expected {' or '.join(f'{scheme}://' for scheme in schemes)} with a host"
        try:
            parts = urlsplit(value)
            has_host = bool(parts.hostname) or "host=" in parts.query
            _ = parts.port  # raises ValueError when it is not a number in range
        except ValueError:
            raise Malformed(f"{expected} and a valid port") from None
        if parts.scheme not in schemes or not has_host:
            raise Malformed(expected)
        if needs_path and not parts.path.strip("/"):
            raise Malformed(f"{expected} and a database name")
        return value

    return parse


def redis_url(value: str) -> str:
    """redis:// or rediss://, with a host and, where a database is given, its number."""
    parsed = url("redis", "rediss")(value)
    database = urlsplit(parsed).path.strip("/")
    if database and not database.isdecimal():
        raise Malformed("expected the database as a number after the host")
    return parsed
