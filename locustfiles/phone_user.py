"""The phone: one user of Locust is one phone, from its arrival to its last sync."""

from __future__ import annotations

from gevent.event import AsyncResult
from locust import User, task
from locust.env import Environment
from locust.exception import StopUser

from harness.load import phone_life
from locustfiles.visit import Visit


class PhoneUser(User):
    """A person's phone with a 30-day backfill."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.visit: AsyncResult[Visit] = AsyncResult()

    @task
    def live(self) -> None:
        """Once."""
        self.visit.get().play(phone_life.live)
        raise StopUser
