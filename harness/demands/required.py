"""Which variable which service cannot do without: the harness's own table, held against what services do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.drivers.protocol import Exit
from harness.errors import WaitTimeout
from harness.experiment.experiment import Experiment
from harness.faults.config import ChangeEnv

COMMON: Final = ("APP_ENV", "SECRET_KEY", "DATABASE_URL", "REDIS_URL")
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "api": (*COMMON, "ALLOWED_HOSTS", "OPERATOR_TOKEN"),
    "worker": (*COMMON, "REMINDER_GATEWAY_URL"),
    "beat": COMMON,
}
EXIT_CONFIG: Final = 78
REFUSE_TIMEOUT_S: Final = 20.0
"""How long a service may take to look at its own environment: an interpreter's start, many times over."""


def expect_refusal(x: Experiment, *, replica: str, without: str) -> None:
    """Start a replica without one variable: it must exit 78 with one message that names the variable and the service.

    Put back and seen healthy again before this returns.
    """
    expect_change_refused(x, replica=replica, changes={without: None}, named=(without,), words=f"without {without}")


def expect_change_refused(
    x: Experiment, *, replica: str, changes: Mapping[str, str | None], named: Iterable[str], words: str
) -> None:
    """Start a replica with another environment: as `expect_refusal`; the message must name all of `named`."""
    service = replica.rpartition("-")[0]
    seen_before = len(x.stack.logs(replica))
    changed = x.inject(ChangeEnv(replica, changes))
    if changed is None:
        return
    names = tuple(named)
    ids = {"service": service, "variable": ", ".join(names)}
    x.refusals.add(replica)
    end = _ended(x, replica)
    x.expect(
        end is not None and end.code == EXIT_CONFIG,
        otherwise=Kind.NOT_REFUSED,
        summary=f"{replica} {words}: "
        + (f"runs on for {REFUSE_TIMEOUT_S:g} s" if end is None else f"exit {end.code}, expected {EXIT_CONFIG}"),
        ids=ids,
    )
    if end is not None and end.code == EXIT_CONFIG:
        refusals = [line for text in x.stack.logs(replica)[seen_before:] if (line := _refusal(text)) is not None]
        messages = [str(each.get("message")) for each in refusals]
        naming = [each for each in messages if service in each and all(f"{name}: " in each for name in names)]
        x.expect(
            len(refusals) == 1 and len(naming) == 1,
            otherwise=Kind.SILENT,
            summary=f"{replica} {words}: {len(refusals)} refusals logged, {len(naming)} name the service and "
            f"{ids['variable']}",
            ids=ids,
        )
        x.witness(f"{service} refused to start {words}", refusals[:1])
    x.heal(changed)


def _ended(x: Experiment, replica: str) -> Exit | None:
    try:
        return wait_for(
            lambda: x.stack.exit_of(replica),
            awaiting=f"{replica} to refuse",
            timeout_s=lambda: REFUSE_TIMEOUT_S * x.crowding(),
        )
    except WaitTimeout:
        return None


def _refusal(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and line.get("event") == "config_refused" else None
