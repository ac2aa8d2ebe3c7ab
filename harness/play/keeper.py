"""The keeper: a background process that owns the stack to play with, and takes requests from commands.

There is one at a time: whoever starts it gives it the lock of the place (`place.claim`), which goes when it goes.

It holds what a stack needs somebody to hold: the links, the journal of what was started, the phones. When it is told
to end, or is interrupted, everything goes with it; when it is killed, the next start of any lab undoes what is left.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from harness.clock import utc_now
from harness.drivers.choice import choose
from harness.drivers.protocol import Stack
from harness.drivers.reset import reset
from harness.errors import LabError
from harness.interrupt import Interrupts, interruptible
from harness.lab_home import PROJECT
from harness.play.channel import Say, serving
from harness.play.place import leave, new_socket, play_home, settle
from harness.play.round import Order, Round, Whisper
from harness.play.status import read_status
from harness.rows.plan import Plan

LOOK_EVERY_S = 1.0


class Keeper:
    """One stack, one round at a time. Requests are done one after another, `status` at any time."""

    def __init__(self, stack: Stack, order: Order) -> None:
        self.is_told_to_end = threading.Event()
        self._stack = stack
        self._turn = threading.Lock()
        self._whisper = Whisper(say)
        self._round = self._new_round(order)
        self._round.start()

    def _new_round(self, order: Order) -> Round:
        return Round(stack=self._stack, order=order, root=PROJECT, lair=play_home() / "rounds", whisper=self._whisper)

    def answer(self, request: Mapping[str, Any], tell: Say) -> dict[str, Any]:
        """Do what a command asks for. Raises: LabError, whose text the command shows."""
        if request["do"] == "status":
            return {**read_status(self._stack), **self._round.progress()}
        if not self._turn.acquire(timeout=1.0):
            raise LabError("the keeper is busy with another command; `lab status` works meanwhile")
        self._whisper.say = _both(say, tell)
        try:
            return self._act(request)
        finally:
            self._whisper.say = say
            self._turn.release()

    def _act(self, request: Mapping[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "inject":
                return self._round.inject(request["fault"], service=request["service"], for_s=request["for_s"])
            case "heal":
                return self._round.heal()
            case "verify":
                return self._round.verify()
            case "phones":
                wanted = {name: request[name] for name in ("phones", "samples", "pace_s", "seed")}
                return self._again(replace(self._round.order, **wanted))
            case "down":
                self.is_told_to_end.set()
                return {}
            case other:
                raise LabError(f"the keeper knows no {other!r}")

    def _again(self, order: Order) -> dict[str, Any]:
        """Another round on the same stack, made empty. Only after the verdict, or when no phone was there."""
        if self._round.order.phones and not self._round.is_over:
            raise LabError("phones are at it already; `lab verify` ends their round, `lab down` the stack")
        self._round.end()
        reset(self._stack)
        self._round = self._new_round(order)
        self._round.start()
        return {"driver": self._stack.driver}

    def look(self) -> None:
        """See what a person did to the stack past the lab. Nothing while a command is being done."""
        if self._turn.acquire(blocking=False):
            try:
                self._round.see_kills()
            finally:
                self._turn.release()

    def end(self) -> None:
        """End the round; the stack is ended by who started it."""
        self._round.end()


def say(text: str) -> None:
    """A line of the keeper's log."""
    sys.stdout.write(f"{utc_now():%H:%M:%S} {text}\n")
    sys.stdout.flush()


def _both(first: Say, second: Say) -> Say:
    def tell(text: str) -> None:
        first(text)
        try:
            second(text)
        except OSError as error:
            first(f"the command that asked has gone ({error}); going on without it")

    return tell


def keep(order: Order) -> None:
    """Start the stack and serve until told to end. Raises: LabError when it cannot be started."""
    with interruptible() as interrupts:
        try:
            choice = choose(order.driver)
            say(f"driver {choice.name}: {choice.why}")
            directory = play_home() / "stack"
            shutil.rmtree(directory, ignore_errors=True)
            _serve(choice.maker(directory)(Plan(order.row()).spec()), order, interrupts)
        except KeyboardInterrupt:
            say("interrupted")


def _serve(stack: Stack, order: Order, interrupts: Interrupts) -> None:
    socket = new_socket()
    with ExitStack() as undoing:
        undoing.callback(_down, stack)
        undoing.callback(leave, socket)
        try:
            say("starting the stack; containers take a while the first time, images being built")
            stack.start()
            say("the stack is up")
            keeper = Keeper(stack, order)
            undoing.callback(keeper.end)
            with serving(socket, keeper.answer):
                settle(socket)
                say("ready")
                while not keeper.is_told_to_end.wait(LOOK_EVERY_S):
                    keeper.look()
        finally:
            interrupts.undo()


def _down(stack: Stack) -> None:
    stack.down()
    say("down")


if __name__ == "__main__":
    try:
        keep(Order(**json.loads(sys.argv[1])))
    except LabError as error:
        say(f"failed: {error}")
        sys.exit(3)
