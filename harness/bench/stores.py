"""The Postgres and the Redis that a benchmark measures on: of their own, empty, and gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from harness.drivers.choice import choose
from harness.drivers.container.template import database_passwords
from harness.drivers.process.embedded import running_postgres, running_redis
from harness.drivers.protocol import StackSpec
from harness.drivers.store_access import postgres_url
from harness.lab_home import lab_home

APP_ROLE = "app"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchStores:
    """Where they are, as superuser and as the app; `driver` is what runs them, never `auto`."""

    driver: str
    dsn: str
    app_dsn: str
    redis_url: str


@contextmanager
def bench_stores(driver: str, *, directory: Path) -> Iterator[BenchStores]:
    """Both, for the time of the block. `auto` is `processes`: two stores need no containers.

    Raises: MissingCapability when the driver cannot run here; LabError for another word.
    """
    choice = choose("processes" if driver == "auto" else driver)
    if choice.name == "processes":
        with running_postgres() as postgres, running_redis() as redis:
            yield BenchStores(
                driver=choice.name, dsn=postgres.dsn(), app_dsn=postgres.dsn(role=APP_ROLE), redis_url=redis.url
            )
        return
    stack = choice.maker(directory / "stacks")(StackSpec(replicas={}))
    try:
        stack.start()
        port, password = urlsplit(stack.dsn()).port, database_passwords(lab_home())["APP_DB_PASSWORD"]
        app_dsn = postgres_url(port=port or 0, password=password, role=APP_ROLE)
        yield BenchStores(driver=choice.name, dsn=stack.dsn(), app_dsn=app_dsn, redis_url=stack.redis_url())
    finally:
        stack.down()
