"""The canonical form of a sample and its fingerprint (docs/fingerprints.md)."""

import hashlib
import unicodedata
from datetime import UTC, datetime

VERSION = "v1"
SEPARATOR = "\x1f"


def canonical_time(moment: datetime) -> str:
    """UTC with exactly three fractional digits, truncated. As text these sort like the moments."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[:23] + "Z"


def canonical_number(value: float) -> str:
    """The shortest text that reads back as the same float64; whole numbers without ".0", minus zero as 0."""
    text = repr(value)
    if text.endswith(".0"):
        text = text[:-2]
    return "0" if text == "-0" else text


def canonical_source(identifier: str) -> str:
    """The source's stable identifier in NFC, without surrounding white space."""
    if identifier.isascii():
        return identifier.strip()
    return unicodedata.normalize("NFC", identifier).strip()


def fingerprint(*, type_identifier: str, start: str, end: str, value: str, unit: str, source: str) -> bytes:
    """SHA-256 (32 bytes) over the canonical fields, joined by U+001F.

    Raises: `UnicodeEncodeError` when a field holds a lone surrogate.
    """
    fields = (VERSION, type_identifier, start, end, value, unit, source)
    return hashlib.sha256(SEPARATOR.join(fields).encode()).digest()
