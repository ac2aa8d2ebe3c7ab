"""The states of all replicas, again and again, at a price that a running scenario does not feel.

A replica that is down or frozen shows in its processes, which cost nothing to read. Whether one that runs is well, only
its own health check says, and that costs a process: it is asked of a replica whose main process is new until it is
healthy, of one that was not well, and else of one replica a reading, in turn.
"""

from __future__ import annotations

from harness.drivers.protocol import STORES, Stack, State


class StateWatch:
    """Call it for one reading. Not for several threads."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._known: dict[str, State] = {}
        self._incarnations: dict[str, tuple[int, int]] = {}
        self._turn = 0

    def __call__(self) -> dict[str, str]:
        """State by replica and store."""
        names = (*self._stack.replicas(), *STORES)
        self._turn += 1
        due = names[self._turn % len(names)]
        return {name: str(self._look(name, is_due=name == due)) for name in names}

    def _look(self, name: str, *, is_due: bool) -> State:
        processes = self._stack.processes(name)
        if not processes:
            state = State.DOWN
        elif all(process.state in "Tt" for process in processes):
            state = State.FROZEN
        else:
            incarnation = (processes[0].pid, processes[0].started_ticks)
            is_settled = self._incarnations.get(name) == incarnation and self._known.get(name) is State.HEALTHY
            state = State.HEALTHY if is_settled and not is_due else self._stack.state(name)
            self._incarnations[name] = incarnation
        self._known[name] = state
        return state
