"""The lab's own fingerprint of a sample, from the text of docs/fingerprints.md; held to the golden vectors by a test.

Used to tell a cleaned record from a lost one, and by nothing else: the duplicate checker compares natural tuples.
"""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import UTC, datetime

_SEPARATOR = "\x1f"


def number_text(value: float) -> str:
    """The shortest text that reads back as the same float64; whole numbers without a fraction, -0 as 0."""
    text = repr(float(value) + 0.0)
    return text.removesuffix(".0")


def time_text(at_ms: int) -> str:
    """An instant as UTC text with three decimals."""
    seconds, millis = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"


def fingerprint_of(
    type_identifier: str, start_ms: int, end_ms: int, value: float | str | None, unit: str | None, source: str
) -> str:
    """The fingerprint in hexadecimal; `value` is a number or a category's name."""
    parts = (
        "v1",
        type_identifier,
        time_text(start_ms),
        time_text(end_ms),
        value if isinstance(value, str) else number_text(value or 0.0),
        unit or "",
        unicodedata.normalize("NFC", source).strip(),
    )
    return hashlib.sha256(_SEPARATOR.join(parts).encode()).hexdigest()
