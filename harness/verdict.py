"""Verdicts: what a scenario, a run and a process exit say, and how several become one."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum


class Verdict(StrEnum):
    """What one scenario says. SKIPPED never makes a run worse, unless skips were forbidden."""

    VALID = "VALID"
    INVALID = "INVALID"
    INCONCLUSIVE = "INCONCLUSIVE"
    SKIPPED = "SKIPPED"


class ExitCode(IntEnum):
    """What `lab chaos` and `lab defects` exit with; where several apply LAB_FAILED wins, then INVALID."""

    VALID = 0
    INVALID = 1
    INCONCLUSIVE = 2
    LAB_FAILED = 3


_PRECEDENCE = (ExitCode.VALID, ExitCode.INCONCLUSIVE, ExitCode.INVALID, ExitCode.LAB_FAILED)


def judge(*, anomalies: int, doubts: int) -> Verdict:
    """One scenario: an anomaly is a fact whatever else went wrong; else any doubt makes it INCONCLUSIVE."""
    if anomalies:
        return Verdict.INVALID
    return Verdict.INCONCLUSIVE if doubts else Verdict.VALID


def exit_code_of(verdict: Verdict) -> ExitCode:
    """The exit code that one scenario's verdict asks for."""
    match verdict:
        case Verdict.VALID | Verdict.SKIPPED:
            return ExitCode.VALID
        case Verdict.INVALID:
            return ExitCode.INVALID
        case Verdict.INCONCLUSIVE:
            return ExitCode.INCONCLUSIVE


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The code that wins; LAB_FAILED when there is none, since nothing was proven."""
    found = list(codes)
    return max(found, key=_PRECEDENCE.index) if found else ExitCode.LAB_FAILED


def verdict_of(code: ExitCode) -> Verdict:
    """The one word for a whole run. A failed lab says nothing about the system: INCONCLUSIVE."""
    match code:
        case ExitCode.VALID:
            return Verdict.VALID
        case ExitCode.INVALID:
            return Verdict.INVALID
        case ExitCode.INCONCLUSIVE | ExitCode.LAB_FAILED:
            return Verdict.INCONCLUSIVE
