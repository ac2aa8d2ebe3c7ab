"""The pool of stacks: scenarios whose specs are equal share one, reset in between; a touched one is not handed on.

Starting and ending a stack takes as long as the scenario itself, most of it waiting; so the next one can be prepared
while a scenario is being judged, and a touched one ends behind the back of the next.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from harness.drivers.protocol import Stack, StackSpec
from harness.drivers.reset import reset
from harness.errors import LabError

Starter = Callable[[StackSpec], Stack]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A stack that is being started; `started` ends with its start, or with what went wrong."""

    stack: Stack
    started: Future[None]


@dataclass(slots=True)
class Pool:
    """One idle stack at most, beside what is lent, the one being prepared and those that are ending.

    Not for several threads: side by side, each takes a pool of its own. `make` creates a stack without starting it.
    """

    make: Starter
    _idle: list[Stack] = field(default_factory=list)
    _lent: list[Stack] = field(default_factory=list)
    _prepared: list[_Prepared] = field(default_factory=list)
    _ends: list[Future[None]] = field(default_factory=list)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(thread_name_prefix="pool"))

    def prepare(self, spec: StackSpec) -> None:
        """Begin to start a stack that the next `take` will ask for; returns at once, errors are raised by `take`."""
        if not any(stack.spec == spec for stack in [*self._idle, *(each.stack for each in self._prepared)]):
            stack = self.make(spec)
            self._prepared.append(_Prepared(stack, self._threads.submit(stack.start)))

    def take(self, spec: StackSpec) -> Stack:
        """A stack of this spec, started, healthy and empty. Raises: DriverError when it cannot be started.

        One that cannot be had as it should be begins to end at once.
        """
        while self._idle:
            idle = self._idle.pop(0)
            if idle.spec != spec:
                self._end(idle)
            elif self._is_reset(idle):
                return idle
        for each in self._prepared:
            if each.stack.spec == spec:
                wait([each.started])  # An interrupt here leaves it where `close` knows that it may still be starting.
                self._prepared.remove(each)
                self._lend(each.stack, made_ready=each.started.result)
                return each.stack
        stack = self.make(spec)
        self._lend(stack, made_ready=stack.start)
        return stack

    def give_back(self, stack: Stack, *, is_touched: bool) -> None:
        """Keep it for the next, or end it when a scenario left it other than it was."""
        self._lent.remove(stack)
        if is_touched:
            self._end(stack)
        else:
            self._idle.append(stack)

    def close(self) -> None:
        """End all of them, also after errors; the first error is raised when all were tried.

        A stack that is being started is ended when its start has come to its own end, which is bounded.
        """
        for each in self._prepared:
            each.started.exception()
            self._end(each.stack)
        for stack in [*self._lent, *self._idle]:
            self._end(stack)
        self._prepared.clear()
        self._idle.clear()
        self._lent.clear()
        self._threads.shutdown()
        errors = [error for end in self._ends if (error := end.exception()) is not None]
        if errors:
            raise errors[0]

    def _is_reset(self, stack: Stack) -> bool:
        """Whether it could be made like new. A new one takes the place of one in which something still goes on."""
        try:
            self._lend(stack, made_ready=lambda: reset(stack))
        except LabError:
            return False
        return True

    def _lend(self, stack: Stack, *, made_ready: Callable[[], None]) -> None:
        """Lent from now on, unless it cannot be made ready. Raises: what `made_ready` does."""
        self._lent.append(stack)
        try:
            made_ready()
        except BaseException:
            self.give_back(stack, is_touched=True)
            raise

    def _end(self, stack: Stack) -> None:
        self._ends.append(self._threads.submit(stack.down))
