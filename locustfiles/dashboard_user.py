"""The dashboard: one user of Locust is one open dashboard."""

from __future__ import annotations

from gevent.event import AsyncResult
from locust import User, task
from locust.env import Environment
from locust.exception import StopUser

from harness.load import reader_life
from locustfiles.visit import Visit


class DashboardUser(User):
    """Somebody who looks at a person's figures, four queries at once."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.visit: AsyncResult[Visit] = AsyncResult()

    @task
    def live(self) -> None:
        """Once."""
        self.visit.get().play(reader_life.live)
        raise StopUser
