"""The ports of one stack, by what listens on them: asked for again, the same one."""

from __future__ import annotations

from harness.drivers.ports import ReservedPort


class PortBook:
    """Ports are reserved when first asked for, and kept until `release`."""

    def __init__(self) -> None:
        self._ports: dict[str, ReservedPort] = {}

    def number(self, name: str) -> int:
        """The port of `name`. Raises: DriverError when none is free."""
        if name not in self._ports:
            self._ports[name] = ReservedPort()
        return self._ports[name].number

    def address(self, name: str) -> str:
        """`127.0.0.1:port`."""
        return f"127.0.0.1:{self.number(name)}"

    def release(self) -> None:
        """Let others have them. Idempotent."""
        for port in self._ports.values():
            port.release()
