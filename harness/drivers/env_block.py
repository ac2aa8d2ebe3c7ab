"""The environment block of a lab's stack, the same for all services; a driver adds addresses, a spec its changes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from harness.drivers.protocol import SERVICES, StackSpec
from harness.errors import DriverError
from harness.times import LAB_ENV

OPERATOR_TOKEN: Final = "operator-of-the-chaos-lab"
"""What the lab's own operators send as X-Operator-Token, unless a spec says otherwise."""
PER_STACK: Final = frozenset(
    {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "REMINDER_GATEWAY_URL", "CHAOSLAB"}
    | {"HOME", "TMPDIR", "HEARTBEAT_DIR", "PATH", "PYTHONPATH"}
)
"""What is new in every stack, or of the machine: it says nothing of what a migrated database is like."""
TEMPLATES_KEPT: Final = 96
"""So many migrated databases stay on each driver, those used last, of some 50 MB each. Every environment and overlay
has its own: `lab chaos` and `lab defects` together need 72 (tests/test_templates_kept.py), patches others.
"""


def require_block(service: str) -> None:
    """Raises: DriverError when this is no service with an environment block."""
    if service not in SERVICES:
        raise DriverError(f"{service!r} has no environment block; services are {SERVICES}")


def base_block() -> dict[str, str]:
    """What every lab has: names, secrets made for this lab, the lab's times. No addresses."""
    return {
        "APP_ENV": "dev",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "OPERATOR_TOKEN": OPERATOR_TOKEN,
        "BUILD_ID": "lab",
        **LAB_ENV,
    }


def service_block(
    service: str,
    *,
    spec: StackSpec,
    base: Mapping[str, str],
    addresses: Mapping[str, str],
    changes: Mapping[str, str | None],
) -> dict[str, str]:
    """One service's block: base, addresses, the spec's env, its service_env, then changes made since the start."""
    block: dict[str, str | None] = {**base, **addresses, **spec.env, **spec.service_env.get(service, {}), **changes}
    return {name: value for name, value in block.items() if value is not None}
