"""Free TCP ports that stay free: labs side by side must not race for one, and a service must come back on its own."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from harness.errors import DriverError

LOWEST_PORT = 15_000
TRIES = 200
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class ReservedPort:
    """One loopback port, kept from other labs until `release`.

    The reservation is an abstract Unix socket named after the port: the kernel drops it with the harness, however that
    dies. The port lies below the ephemeral range, so no outgoing connection can take it while its service is down.
    """

    def __init__(self) -> None:
        """Find and reserve one. Raises: DriverError when none of many is free."""
        highest = int(EPHEMERAL_RANGE.read_text(encoding="ascii").split()[0]) if EPHEMERAL_RANGE.exists() else 32_768
        choose = random.SystemRandom()  # Not the run's seed: two labs with one seed must not meet.
        for _ in range(TRIES):
            number = choose.randrange(LOWEST_PORT, max(highest, LOWEST_PORT + 1_000))
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                claim.bind(f"\0chaos-lab-port-{number}")
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", number))
            except OSError:
                claim.close()
                continue
            self.number = number
            self._claim = claim
            return
        raise DriverError(f"no free port on 127.0.0.1 between {LOWEST_PORT} and {highest} in {TRIES} tries")

    def release(self) -> None:
        """Let others have it. Idempotent."""
        self._claim.close()
