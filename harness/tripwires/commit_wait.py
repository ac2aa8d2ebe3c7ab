"""The commit tripwire: Postgres holds every COMMIT of the app, durable and unanswered, until the lab lets go."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import psycopg

from harness.clock import wait_for
from harness.errors import HealFailed, Inconclusive, LabError, WaitTimeout
from harness.lab_session import LabSession, lab_session
from harness.receipt import Receipt

NOBODY: Final = "chaoslab_nobody"
TRIES: Final = 5
RELOAD_TIMEOUT_S: Final = 20.0
_INTERVAL_S: Final = 0.02
_COMMITS = b"select pg_logical_emit_message(true, 'chaoslab', '')"
_STANDING = """
select pid, application_name from pg_stat_activity where wait_event = 'SyncRep'
  and starts_with(application_name, %(service)s || ':') and position(%(statement)s in query) > 0
order by state_change limit 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A backend that stands in its COMMIT, whose it is, and how that was seen."""

    replica: str
    backend_pid: int
    receipt: Receipt


class CommitWait:
    """Makes every COMMIT of the app wait for a standby that nobody has.

    It is server-wide, so hold it briefly: do what must be done meanwhile, and `release`. The lab's own sessions commit
    locally and do not wait. What a killed harness leaves armed is a setting of the stack's own Postgres, and goes with
    its data (harness/drivers/leftovers.py).
    """

    def __init__(self, dsn: str, *, timeout_s: float, on_parked: Callable[[Receipt], None]) -> None:
        """Changes nothing yet. `timeout_s` is how long a backend may take to come and stand there."""
        self._dsn = dsn
        self._timeout_s = timeout_s
        self._on_parked = on_parked
        self._is_armed = False

    def park(self, backend_pid: int, *, let_go: Callable[[], None]) -> None:
        """Let this backend, which something else holds, go on into its COMMIT, and hold it there.

        Raises: Inconclusive when it does not come to stand there in time.
        """
        self._arm()
        let_go()
        try:
            after = wait_for(
                lambda: self.standing(backend_pid),
                awaiting=f"backend {backend_pid} in SyncRep",
                timeout_s=self._timeout_s,
                interval_s=_INTERVAL_S,
            )
        except WaitTimeout as error:
            raise Inconclusive(str(error)) from error
        self._on_parked(Receipt(source="pg_stat_activity", before=f"backend {backend_pid} does not wait", after=after))

    def park_any(self, service: str, *, statement: str) -> Standing:
        """Hold all commits until some backend of a service stands in its own, after a statement with these words.

        Where everybody stands in another commit nobody else will come: all are let go, and held again.
        Raises: Inconclusive when none comes to stand there in time.
        """

        def look() -> tuple[int, str] | None:
            with lab_session(self._dsn) as session:
                found = session.execute(_STANDING, {"service": service, "statement": statement}).fetchone()
            return (int(found[0]), str(found[1])) if found else None

        awaiting = f"a backend of {service} in SyncRep after {statement!r}"
        doubt: WaitTimeout | None = None
        for _ in range(TRIES):
            self.release()
            self._arm()
            try:
                pid, name = wait_for(look, awaiting=awaiting, timeout_s=self._timeout_s / TRIES, interval_s=_INTERVAL_S)
            except WaitTimeout as error:
                doubt = error
                continue
            after = f"{name} (backend {pid}) waits in SyncRep after {statement!r}"
            receipt = Receipt(source="pg_stat_activity", before=f"no backend of {service} does", after=after)
            self._on_parked(receipt)
            return Standing(replica=name.split(":")[1], backend_pid=pid, receipt=receipt)
        raise Inconclusive(f"{TRIES} times: {doubt}")

    def standing(self, backend_pid: int) -> str | None:
        """That this backend stands in its COMMIT now, in words; None when it does not."""
        with lab_session(self._dsn) as session:
            found = session.execute(
                "select application_name from pg_stat_activity where pid = %s and wait_event = 'SyncRep'",
                (backend_pid,),
            ).fetchone()
        return f"{found[0]} (backend {backend_pid}) waits in SyncRep" if found else None

    def release(self) -> None:
        """Let every commit be answered. Idempotent. Raises: HealFailed, since nothing would be committed any more."""
        if not self._is_armed:
            return
        try:
            self._set("alter system reset synchronous_standby_names", awaited="")
        except (LabError, psycopg.Error) as error:
            raise HealFailed(f"commits could not be let go: {error}") from error
        self._is_armed = False

    def _arm(self) -> None:
        """Set it, and see that it holds: it does for nobody before the server's checkpointer has read it, too."""
        self._is_armed = True
        self._set(f"alter system set synchronous_standby_names = '{NOBODY}'", awaited=NOBODY)
        with closing(lab_session(self._dsn)) as canary:
            canary.execute("set synchronous_commit = on")

            def is_held() -> bool:
                _commit_again(canary)
                return self.standing(canary.info.backend_pid) is not None

            wait_for(
                is_held,
                awaiting="a commit of the lab's own in SyncRep",
                timeout_s=RELOAD_TIMEOUT_S,
                interval_s=_INTERVAL_S,
            )

    def _set(self, statement: str, *, awaited: str) -> None:
        with lab_session(self._dsn) as session:
            session.execute(statement)
            session.execute("select pg_reload_conf()")

            def is_set() -> bool:
                return session.execute("show synchronous_standby_names").fetchone() == (awaited,)

            wait_for(is_set, awaiting=f"synchronous_standby_names = {awaited!r}", timeout_s=RELOAD_TIMEOUT_S)


def _commit_again(session: LabSession) -> None:
    """Begin to commit something, without waiting for the answer, unless such a commit is under way."""
    session.pgconn.consume_input()
    if not session.pgconn.is_busy():
        while session.pgconn.get_result() is not None:
            pass  # what the last one was answered
        session.pgconn.send_query(_COMMITS)
