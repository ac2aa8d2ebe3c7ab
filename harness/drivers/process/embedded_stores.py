"""The two stores of one stack: their data below the stack's lair, how each is started, how it is reached."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.drivers.leftovers import Journal, release_postgres_memory
from harness.drivers.process import embedded_postgres, embedded_redis
from harness.drivers.process.embedded_postgres import PostgresTemplate
from harness.drivers.process.group import Launch
from harness.drivers.process.port_book import PortBook
from harness.drivers.store_access import APP_ROLE, postgres_answers, postgres_url, redis_answers, redis_url
from harness.lab_home import StoreHome


@dataclass(slots=True)
class EmbeddedStores:
    """Postgres from `template`, Redis with its AOF; `env` is for the servers, `logs` the directory of their logs."""

    lair: Path
    logs: Path
    home: StoreHome
    ports: PortBook
    env: Mapping[str, str]
    template: PostgresTemplate
    journal: Journal
    _redis_password: str = field(default="", init=False)

    @property
    def _data(self) -> Path:
        return self.lair / "postgres" / "data"

    def launch(self, store: str, *, fresh: bool) -> Launch:
        """How the store is started; `fresh` empties it first (Postgres: migrated, and nothing else)."""
        return self._postgres(fresh=fresh) if store == "postgres" else self._redis(fresh=fresh)

    def answers(self, store: str) -> bool:
        """Whether it answers a new session; bounded to a few seconds."""
        return postgres_answers(self.dsn()) if store == "postgres" else redis_answers(self.redis_url())

    def dsn(self) -> str:
        """Postgres as superuser, directly."""
        return postgres_url(port=self.ports.number("postgres"), password=self.template.password)

    def redis_url(self) -> str:
        """Redis, directly."""
        return redis_url(port=self.ports.number("redis"), password=self._redis_password)

    def addresses(self, port_of: Mapping[str, int]) -> dict[str, str]:
        """What a service is told, for its own listeners: port by store."""
        database_url = postgres_url(port=port_of["postgres"], password=self.template.password, role=APP_ROLE)
        broker_url = redis_url(port=port_of["redis"], password=self._redis_password)
        return {"DATABASE_URL": database_url, "REDIS_URL": broker_url}

    def release(self) -> None:
        """Give back what killed servers leave outside their directories. Idempotent."""
        release_postgres_memory({"data": str(self._data)})

    def _postgres(self, *, fresh: bool) -> Launch:
        if fresh:
            self.release()
            shutil.rmtree(self._data, ignore_errors=True)
            self.template.copy_to(self._data)
            self.home.give(self._data.parent)
            self.journal.note("postgres", data=str(self._data))
        return Launch(
            command=embedded_postgres.server_command(
                self.template.install, data=self._data, port=self.ports.number("postgres")
            ),
            env=self.env,
            directory=self._data.parent,
            log=self.logs / "postgres.log",
            user=self.home.user,
        )

    def _redis(self, *, fresh: bool) -> Launch:
        directory = self.lair / "redis"
        configuration = directory / "redis.conf"
        if fresh:
            shutil.rmtree(directory / "data", ignore_errors=True)
        if not self._redis_password:
            self._redis_password = embedded_redis.write_configuration(configuration, port=self.ports.number("redis"))
        (directory / "data").mkdir(exist_ok=True)
        return Launch(
            command=(embedded_redis.find_server(), str(configuration)),
            env=self.env,
            directory=directory,
            log=self.logs / "redis.log",
        )
