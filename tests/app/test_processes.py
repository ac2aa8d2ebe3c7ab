"""What a process loads, how it names its connections, and how long it waits for an answer."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.db import OperationalError, connection

from backend.clock import monotonic_s
from backend.postgres.base import BoundedConnection, application_name
from tests.app.environment import ENVIRONMENT
from tests.app.waiting import PATIENCE_S

APP = Path(__file__).parents[2] / "app"
# What Celery does before a worker or a beat starts: load the app, run Django's checks, import the tasks.
LOAD = """
import sys
sys.argv = ["celery", "-A", "backend", {service!r}]
from celery.app.utils import find_app
app = find_app("backend")
app.loader.import_default_modules()
import django
django.setup()
from django.core.checks import run_checks
assert run_checks() == [], run_checks()
app.finalize()
from django.db import connection
assert connection.connection is None, "a connection opened before the fork"
print(",".join(sorted({{name.partition(".")[0] for name in sys.modules}} & {{"strawberry", "graphql", "gunicorn"}})))
"""


@pytest.mark.parametrize("service", ["worker", "beat"])
def test_no_graphql_in(service: str) -> None:
    environ = {**ENVIRONMENT, "PATH": os.environ["PATH"], "PYTHONPATH": str(APP)}
    code = LOAD.format(service=service)
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environ, cwd=APP, capture_output=True, text=True, timeout=60
    )
    assert (ended.stderr, ended.stdout.strip()) == ("", "")


@pytest.mark.usefixtures("stores")
def test_connection_is_named_after_its_process() -> None:
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name')")
        assert cursor.fetchone() == (f"migrate:tests-1:{os.getpid()}",)


def test_name_is_read_after_a_fork() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, application_name().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 200).decode() == f"migrate:tests-1:{child}"


@pytest.mark.usefixtures("stores")
def test_answer_is_waited_for_no_longer_than_the_bound() -> None:
    connection.ensure_connection()
    kept = connection.connection
    assert isinstance(kept, BoundedConnection)
    kept.bound_s = 0.2
    started_s = monotonic_s()
    with pytest.raises(OperationalError, match="no answer from Postgres within"), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [PATIENCE_S])
    assert monotonic_s() - started_s < PATIENCE_S
    assert kept.closed
    connection.close()


@pytest.mark.usefixtures("stores")
def test_kept_connection_is_asked_first() -> None:
    connection.close()
    connection.ensure_connection()
    pid = connection.connection.info.backend_pid
    settings = connection.get_connection_params()
    with psycopg.connect(host=settings["host"], user=settings["user"], dbname=settings["dbname"]) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    connection.close_if_unusable_or_obsolete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
