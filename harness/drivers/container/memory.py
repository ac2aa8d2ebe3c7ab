"""A container that runs out of memory: filled from inside up to a limit, until the kernel's OOM killer has chosen.

The kernel takes whoever scores highest. A process may raise its owner's scores, so the choice is ours, and everything
after it the kernel's own: the kill, its count in the control group, what the engine says of the container. The limit is
drawn close for that moment, since filling gigabytes takes longer than a chunk may.
"""

from __future__ import annotations

from typing import Final

from docker.errors import APIError

from harness.drivers.container.processes import HAS_ENDED
from harness.drivers.container.replica import ContainerReplica
from harness.errors import DriverError

HIGHEST_SCORE: Final = 1000
NEXT_SCORE: Final = 900
"""Of the filling itself: while the victim is still dying the kernel may choose again."""
ROOM_BYTES: Final = 64 << 20
STEP_BYTES: Final = 4 << 20
KILLED: Final = 137
END_KNOWN_S: Final = 5.0
# Ends by itself when the victim is gone (a zombie is), or dies with the container when that was its main process.
_FILL: Final = f"""
import pathlib, sys
victim = pathlib.Path("/proc", sys.argv[1])
(victim / "oom_score_adj").write_text("{HIGHEST_SCORE}")
pathlib.Path("/proc/self/oom_score_adj").write_text("{NEXT_SCORE}")
def lives():
    try:
        return (victim / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
held = []
while lives():
    held.append(b"x" * {STEP_BYTES})
"""
# Version 2 of control groups, then version 1; both have a line `oom_kill <count>`.
_KILLS: Final = "cat /sys/fs/cgroup/memory.events 2>/dev/null || cat /sys/fs/cgroup/memory/memory.oom_control"
_USED: Final = "cat /sys/fs/cgroup/memory.current 2>/dev/null || cat /sys/fs/cgroup/memory/memory.usage_in_bytes"


def exhaust(replica: ContainerReplica, victim: int) -> None:
    """Use up the replica's memory until the kernel has ended `victim` (a pid inside). Raises: DriverError."""
    container = replica.container
    before = container.attrs["HostConfig"]
    limit = int(replica.inside("sh", "-c", _USED)) + ROOM_BYTES
    _limit(replica, memory=limit, with_swap=limit)
    try:
        code, output = container.exec_run(["python", "-I", "-S", "-c", _FILL, str(victim)])
    except APIError as error:
        if error.status_code not in HAS_ENDED:
            raise
        return  # With its main process the container has ended, and the filling with it.
    finally:
        _limit(replica, memory=before["Memory"], with_swap=before["MemorySwap"])
    if code not in (0, KILLED, None):
        raise DriverError(f"{replica.name}: its memory could not be used up ({code}): {output!r}")


def _limit(replica: ContainerReplica, *, memory: int, with_swap: int) -> None:
    try:
        replica.container.update(mem_limit=memory, memswap_limit=with_swap)
    except APIError:
        if replica.exit(timeout_s=END_KNOWN_S) is None:
            raise
        # The engine had not known yet that it has ended.
        replica.container.update(mem_limit=memory, memswap_limit=with_swap)


def oom_kills(replica: ContainerReplica) -> int:
    """How many of its processes the kernel has ended for want of memory, by the control group's own count.

    Of a container that has ended, the engine knows only whether there were any. Raises: DriverError.
    """
    try:
        if replica.exit() is None:
            return _kills(replica.inside("sh", "-c", _KILLS))
    except (APIError, DriverError):
        if replica.exit(timeout_s=END_KNOWN_S) is None:  # It may have been about to end.
            raise
    return int(replica.container.attrs["State"]["OOMKilled"])


def _kills(told: str) -> int:
    counts = [line.split()[1] for line in told.splitlines() if line.startswith("oom_kill ")]
    if not counts:
        raise DriverError(f"the control group tells no OOM kills: {told}")
    return int(counts[0])
