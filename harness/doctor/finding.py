"""One thing that the doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """`unsafe` fails the check; `note` is worth knowing and fails nothing."""

    UNSAFE = "unsafe"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """`rule` is the rule's name, `hazard` the catalogue's id, `where` the file, service or store that it is about."""

    rule: str
    hazard: str
    where: str
    problem: str
    remedy: str
    severity: Severity = Severity.UNSAFE
