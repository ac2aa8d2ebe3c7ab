"""`python -m backend.worker_health`: exit 0 when the worker of this replica is fit, 1 when not; one line says why.

Sees a main process that hangs (no heartbeat) and one that is deaf (the broker answers us but not its poll). A broker
that does not answer makes no worker unhealthy: replacing workers brings no broker back. Costs a bare interpreter and a
socket: no Django, no Celery.
"""

import socket
from urllib.parse import unquote, urlsplit

from backend.clock import monotonic_s
from backend.env import Config
from backend.health_command import health_command
from backend.heartbeat_file import heartbeat_file
from backend.service import Service

REDIS_PORT = 6379


def broker_answers(url: str, *, timeout_s: float) -> bool:
    """Whether the Redis at `url` says PONG, or anything at all, within `timeout_s`."""
    parts = urlsplit(url)
    address = (parts.hostname or "localhost", parts.port or REDIS_PORT)
    try:
        with socket.create_connection(address, timeout=timeout_s) as connection:
            connection.settimeout(timeout_s)
            if parts.password:
                words = ["AUTH", *([unquote(parts.username)] if parts.username else []), unquote(parts.password)]
                connection.sendall(_command(*words))
                connection.recv(512)
            connection.sendall(_command("PING"))
            return bool(connection.recv(512))
    except OSError:
        return False


def worker_problem(times: Config) -> str | None:
    """What is wrong with the worker; None when nothing is."""
    facts = heartbeat_file(Service.WORKER, times).read()
    if facts is None:
        return "no heartbeat file: the worker has not started its loop yet"
    age_s = monotonic_s() - float(facts["at_s"])
    silent_s = float(facts["at_s"]) - float(facts["heard_at_s"])
    bound_s = unhealthy_after_s(times)
    if max(age_s, silent_s) <= bound_s:
        return None
    if not broker_answers(times.redis_url, timeout_s=times.broker_read_timeout_s):
        return None
    if age_s > bound_s:
        return f"the main process hangs: no turn of its loop for {age_s:.0f} s (bound {bound_s:.0f} s)"
    return (
        f"deaf: the broker answers, but has not answered the worker's poll for {silent_s:.0f} s (bound {bound_s:.0f} s)"
    )


def unhealthy_after_s(times: Config) -> float:
    """Longer than the worker needs to notice a dead connection itself and to connect anew."""
    return 5.0 + 2 * (times.broker_connect_timeout_s + 2 * times.broker_read_timeout_s)


def main() -> int:
    """Exit status of the command."""
    return health_command(Service.WORKER, worker_problem)


def _command(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"".join([b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)])


if __name__ == "__main__":
    raise SystemExit(main())
