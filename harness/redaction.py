"""Redaction: secrets never reach a report."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"
_NAMES: Final = re.compile(r"(?i)(SECRET|TOKEN|PASSWORD|_KEY$|DSN)")
_URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^\s:/@]*):(?P<password>[^\s@/]+)@")
_PAIR: Final = re.compile(r"(?i)\b((?:password|secret_key|token|authorization)\s*[=:]\s*(?:bearer\s+)?)[^\s,;&\"']+")


def redact(text: str) -> str:
    """The text without passwords in URLs and without values of named secrets."""
    return _PAIR.sub(rf"\g<1>{HIDDEN}", _URL.sub(rf"\g<scheme>\g<user>:{HIDDEN}@", text))


def redact_env(name: str, value: str) -> str:
    """An environment variable's value, hidden when the name says that it is secret."""
    return HIDDEN if _NAMES.search(name) else redact(value)
