"""The conductor: one in each Locust process, lets visitors in at their moment, whatever became of those before."""

from __future__ import annotations

import os
from typing import Any, Final

import gevent
from locust import User, task
from locust.env import Environment
from locust.exception import StopUser

from harness.load.booth import Booth
from harness.load.order import ORDER, read_order
from harness.load.timetable import Visitor
from locustfiles.visit import Visit

OVER: Final = "lab_over"
"""The message with which a process tells that its last visitor has left."""
KINDS: Final = {Visitor.PHONE: "PhoneUser", Visitor.READER: "DashboardUser"}


class Conductor(User):
    """Plays this process's part of the timetable: an open model, so nobody waits for anybody."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.booth: Booth | None = None
        environment.events.test_stopping.add_listener(self._end)

    @task
    def conduct(self) -> None:
        """The whole run, once."""
        runner = self.environment.runner
        order = read_order(os.environ.get(ORDER))
        self.booth = booth = Booth(order, index=max(0, runner.worker_index), meter=self._meter)
        try:
            for _ in booth.prepare():
                gevent.sleep(0)
            if booth.begin():
                self._let_in(booth)
                booth.drain()
        finally:
            booth.close()
            runner.send_message(OVER)
        raise StopUser

    def _let_in(self, booth: Booth) -> None:
        for arrival in booth.arrivals:
            if not booth.wait_for(arrival):
                return
            (user,) = self.environment.runner.spawn_users({KINDS[arrival.visitor]: 1})
            booth.let_in()
            user.visit.set(Visit(booth, arrival))

    def _meter(self, group: str, name: str, *, took_s: float, problem: str | None = None) -> None:
        self.environment.events.request.fire(
            request_type=group,
            name=name,
            response_time=1000 * took_s,
            response_length=0,
            exception=RuntimeError(problem) if problem else None,
            context={},
        )

    def _end(self, **_: Any) -> None:
        if self.booth is not None:
            self.booth.stop.set()
