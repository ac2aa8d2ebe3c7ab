"""What every driver must be able to do, measured from outside, on a stack of each driver that works here."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psycopg
import pytest
import redis

from harness.clock import wait_for
from harness.drivers.protocol import Scope, Stack, State
from harness.errors import DriverError, MissingCapability, StartFailed
from harness.links.toxics import BlackHole, Refuse

pytestmark = pytest.mark.stack

PATIENCE_S = 60.0
SILENCE_S = 0.5


@contextmanager
def redis_of(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(stack.redis_url(), socket_timeout=PATIENCE_S, decode_responses=True) as client:
        yield client


def pids(stack: Stack, name: str) -> set[int]:
    return {process.pid for process in stack.processes(name)}


def main_pid(stack: Stack, name: str) -> int:
    return stack.processes(name)[0].pid


def await_state(stack: Stack, name: str, state: State) -> None:
    wait_for(
        lambda: stack.state(name) is state,
        awaiting=f"{name} to be {state}",
        timeout_s=PATIENCE_S,
        seen=lambda: "\n".join([stack.state(name), *stack.logs(name)[-20:]]),
    )


def rows(stack: Stack, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(stack.dsn(), connect_timeout=5) as session:
        return session.execute(query).fetchall()


def health(stack: Stack, name: str) -> dict[str, str]:
    answer: dict[str, str] = httpx.get(f"{stack.api_urls()[name]}/health/", timeout=PATIENCE_S).json()
    return answer


def test_start_leaves_everything_healthy_and_migrated(stack: Stack) -> None:
    assert stack.replicas() == ("api-1", "api-2", "worker-1", "beat-1")
    assert stack.replicas("api") == ("api-1", "api-2")
    names = (*stack.replicas(), "redis", "postgres")
    assert {name: stack.state(name) for name in names} == dict.fromkeys(names, State.HEALTHY)
    assert rows(stack, "select count(*) > 0 from healthkit_sample_type") == [(True,)]


def test_each_api_replica_has_a_url_of_its_own(stack: Stack) -> None:
    assert set(stack.api_urls()) == {"api-1", "api-2"}
    assert len(set(stack.api_urls().values())) == 2
    assert [health(stack, name)["status"] for name in stack.api_urls()] == ["ok", "ok"]


def test_the_receiver_answers(stack: Stack) -> None:
    assert httpx.get(f"{stack.receiver_url()}/received", timeout=PATIENCE_S).status_code == 200


def test_services_reach_the_stores_through_their_links(stack: Stack) -> None:
    for service in ("api", "worker", "beat"):
        assert stack.link(service, "postgres").traffic().opened > 0
    assert stack.link("worker", "redis").traffic().open > 0


def test_the_labs_own_sessions_bypass_the_links(stack: Stack) -> None:
    links = [stack.link(service, "redis") for service in ("api", "worker", "beat")]
    try:
        for link in links:
            link.harm(Refuse())
        with redis_of(stack) as client:
            assert client.ping()
    finally:
        for link in links:
            link.heal()
    for replica in stack.replicas():
        await_state(stack, replica, State.HEALTHY)


def test_a_signal_reaches_the_main_process_alone(stack: Stack) -> None:
    stack.signal("worker-1", signal.SIGSTOP)
    try:
        states = wait_for(
            lambda: (
                [p.state for p in stack.processes("worker-1")] if stack.processes("worker-1")[0].state == "T" else None
            ),
            awaiting="the main process in state T",
            timeout_s=PATIENCE_S,
        )
    finally:
        stack.signal("worker-1", signal.SIGCONT)
    assert set(states[1:]) <= {"S", "R"}
    assert len(states) > 1


def test_a_signal_reaches_the_whole_group(stack: Stack) -> None:
    stack.signal("api-1", signal.SIGSTOP, scope=Scope.GROUP)
    try:
        await_state(stack, "api-1", State.FROZEN)
    finally:
        stack.signal("api-1", signal.SIGCONT, scope=Scope.GROUP)
    await_state(stack, "api-1", State.HEALTHY)


def test_a_signal_reaches_one_pool_child(stack: Stack) -> None:
    main, *children = stack.processes("worker-1")
    victim = children[-1].pid
    stack.signal_process("worker-1", victim, signal.SIGKILL)
    wait_for(
        lambda: victim not in pids(stack, "worker-1") and len(pids(stack, "worker-1")) == len(children) + 1,
        awaiting="the child to be replaced",
        timeout_s=PATIENCE_S,
    )
    assert main_pid(stack, "worker-1") == main.pid


def test_a_process_of_another_replica_is_no_target(stack: Stack) -> None:
    with pytest.raises(DriverError, match="has no process"):
        stack.signal_process("worker-1", 999_999_999, 0)


def test_freeze_stops_every_process_and_thaw_wakes_them(stack: Stack) -> None:
    stack.freeze("worker-1")
    try:
        assert {process.state for process in stack.processes("worker-1")} == {"T"}
        assert stack.state("worker-1") is State.FROZEN
    finally:
        stack.thaw("worker-1")
    await_state(stack, "worker-1", State.HEALTHY)


def test_a_frozen_beat_is_asked_by_its_own_health_check(stack: Stack) -> None:
    assert stack.is_fit("beat-1")
    stack.freeze("beat-1")
    try:
        wait_for(lambda: not stack.is_fit("beat-1"), awaiting="beat to count as hung", timeout_s=PATIENCE_S)
        assert stack.state("beat-1") is State.FROZEN
    finally:
        stack.thaw("beat-1")
    await_state(stack, "beat-1", State.HEALTHY)


def test_a_frozen_api_accepts_and_does_not_answer(stack: Stack) -> None:
    stack.freeze("api-2")
    try:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{stack.api_urls()['api-2']}/health/live", timeout=SILENCE_S)
    finally:
        stack.thaw("api-2")
    await_state(stack, "api-2", State.HEALTHY)


def test_a_frozen_postgres_does_not_answer_open_sessions(stack: Stack) -> None:
    with psycopg.connect(stack.dsn(), autocommit=True) as session, ThreadPoolExecutor(1) as pool:
        stack.freeze("postgres")
        try:
            answer = pool.submit(session.execute, "select 1")
            with pytest.raises(TimeoutError):
                answer.result(timeout=SILENCE_S)
        finally:
            stack.thaw("postgres")
        assert answer.result(timeout=PATIENCE_S).fetchone() == (1,)
    await_state(stack, "postgres", State.HEALTHY)


def test_stop_ends_a_willing_worker_in_order_and_keeps_its_log(stack: Stack) -> None:
    before = len(stack.logs("worker-1"))
    ended = stack.stop_replica("worker-1")
    assert (ended.code, ended.killed) == (0, False)
    assert 0 < ended.took_s < stack.spec.stop_timeout_s
    assert (stack.state("worker-1"), stack.processes("worker-1")) == (State.DOWN, ())
    assert stack.exit_of("worker-1") == ended
    stack.start_replica("worker-1")
    assert stack.exit_of("worker-1") is None
    assert len(stack.logs("worker-1")) > before


def test_stop_kills_what_does_not_obey_in_time(stack: Stack) -> None:
    stack.freeze("worker-1")
    ended = stack.stop_replica("worker-1", timeout_s=1.0)
    assert (ended.code, ended.killed) == (137, True)
    assert ended.took_s >= 1.0
    stack.start_replica("worker-1")


def test_kill_takes_every_process_and_needs_no_thaw(stack: Stack) -> None:
    stack.freeze("beat-1")
    assert stack.kill_replica("beat-1").code == 137
    assert stack.processes("beat-1") == ()
    stack.start_replica("beat-1")
    assert stack.state("beat-1") is State.HEALTHY


def test_the_rest_of_a_replica_dies_with_its_main_process(stack: Stack) -> None:
    stack.signal("worker-1", signal.SIGKILL)
    ended = stack.exit_of("worker-1", timeout_s=PATIENCE_S)
    assert ended is not None
    assert ended.code == 137
    assert stack.processes("worker-1") == ()
    stack.start_replica("worker-1")


def test_a_running_replica_is_not_started_twice(stack: Stack) -> None:
    with pytest.raises(DriverError, match="runs already"):
        stack.start_replica("beat-1")


def test_redis_comes_back_with_its_data_or_without(stack: Stack) -> None:
    with redis_of(stack) as client:
        client.set("contract", "kept")
    assert stack.kill_replica("redis").code == 137
    stack.start_replica("redis")
    with redis_of(stack) as client:
        assert client.get("contract") == "kept"
    stack.kill_replica("redis")
    stack.start_replica("redis", fresh=True)
    with redis_of(stack) as client:
        assert client.get("contract") is None
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL], ids=["fast", "immediate", "kill"])
def test_postgres_comes_back_with_its_data(stack: Stack, signum: int) -> None:
    with psycopg.connect(stack.dsn()) as session:
        session.execute("create table if not exists contract (signum int)")
        session.execute("insert into contract values (%s)", (signum,))
    stack.signal("postgres", signum)
    assert stack.exit_of("postgres", timeout_s=PATIENCE_S) is not None
    stack.start_replica("postgres")
    assert (signum,) in rows(stack, "select signum from contract")


def test_a_fresh_postgres_is_migrated_and_empty(stack: Stack) -> None:
    with psycopg.connect(stack.dsn()) as session:
        session.execute("create table if not exists contract (signum int)")
    stack.kill_replica("postgres")
    stack.start_replica("postgres", fresh=True)
    assert rows(stack, "select to_regclass('contract') is null") == [(True,)]
    assert rows(stack, "select count(*) > 0 from healthkit_sample_type") == [(True,)]


def test_postgres_is_durable_and_the_app_is_no_superuser(stack: Stack) -> None:
    settings = rows(stack, "select current_setting('fsync'), current_setting('synchronous_commit')")
    assert settings == [("on", "on")]
    assert rows(stack, "select rolsuper from pg_roles where rolname = current_user") == [(True,)]
    # After a restart of Postgres the services come back one by one, at their next query.
    users = wait_for(
        lambda: rows(
            stack,
            "select distinct rolsuper from pg_stat_activity join pg_roles on rolname = usename"
            " where application_name ~ '^(api|worker|beat):'",
        ),
        awaiting="a session of the app",
        timeout_s=PATIENCE_S,
    )
    assert users == [(False,)]


def test_a_second_beat_comes_and_goes(stack: Stack) -> None:
    name = stack.add_replica("beat")
    assert name == "beat-2"
    assert stack.state(name) is State.HEALTHY
    stack.remove_replica(name)
    assert stack.replicas("beat") == ("beat-1",)
    with pytest.raises(DriverError):
        stack.remove_replica("beat-1")


def test_changed_environment_is_one_services_from_its_next_start_on(stack: Stack) -> None:
    stack.change_env("api", {"BUILD_ID": "changed"})
    try:
        assert health(stack, "api-1")["build"] == "contract"
        assert stack.environment("api-1")["BUILD_ID"] == "contract"
        stack.stop_replica("api-1")
        stack.start_replica("api-1")
        assert health(stack, "api-1")["build"] == "changed"
        assert {name: stack.environment(name)["BUILD_ID"] for name in stack.replicas("api")} == {
            "api-1": "changed",
            "api-2": "contract",
        }
        assert health(stack, "api-2")["build"] == "contract"
    finally:
        stack.change_env("api", {"BUILD_ID": "contract"})
    stack.stop_replica("api-1")
    stack.start_replica("api-1")


def test_the_kernel_ends_the_process_that_is_chosen_when_memory_runs_out(stack: Stack) -> None:
    main, *children = stack.processes("worker-1")
    started = (main.pid, main.started_ticks)
    started = (main.pid, main.started_ticks)
    victim = children[-1].pid
    if stack.driver != "containers":
        with pytest.raises(MissingCapability, match="no memory limit of its own"):
            stack.exhaust_memory("worker-1", victim=victim)
        with pytest.raises(MissingCapability, match="no memory limit of its own"):
            stack.oom_kills("worker-1")
        return
    assert stack.oom_kills("worker-1") == 0
    stack.exhaust_memory("worker-1", victim=victim)
    assert stack.oom_kills("worker-1") >= 1  # one more when what filled the memory went with it
    wait_for(lambda: victim not in pids(stack, "worker-1"), awaiting="the victim's end", timeout_s=PATIENCE_S)
    survivor, *_ = stack.processes("worker-1")
    assert (survivor.pid, survivor.started_ticks) == started
    stack.exhaust_memory("worker-1", victim=main.pid)
    ended = stack.exit_of("worker-1", timeout_s=PATIENCE_S)
    assert ended is not None
    assert (ended.code, stack.oom_kills("worker-1")) == (137, 1)
    stack.start_replica("worker-1")
    assert stack.oom_kills("worker-1") == 0


def test_a_service_that_refuses_its_configuration_says_so(stack: Stack) -> None:
    stack.change_env("beat", {"APP_ENV": None})
    try:
        stack.kill_replica("beat-1")
        with pytest.raises(StartFailed, match=r"code=78[\s\S]*APP_ENV") as refused:
            stack.start_replica("beat-1")
        assert "APP_ENV" not in stack.environment("beat-1")
        assert "DATABASE_URL" in stack.environment("beat-1")
        assert (refused.value.replica, refused.value.exit_code) == ("beat-1", 78)
    finally:
        stack.change_env("beat", {"APP_ENV": "dev"})
        if not stack.processes("beat-1"):
            stack.start_replica("beat-1")


def test_a_link_harms_one_service_alone_and_heals(stack: Stack) -> None:
    link = stack.link("api", "postgres")
    link.harm(Refuse())
    try:
        await_state(stack, "api-1", State.UNHEALTHY)
        assert stack.state("worker-1") is State.HEALTHY
    finally:
        link.heal()
    await_state(stack, "api-1", State.HEALTHY)
    await_state(stack, "api-2", State.HEALTHY)


def test_a_black_hole_stops_the_traffic_of_a_link(stack: Stack) -> None:
    link = stack.link("beat", "postgres")
    link.harm(BlackHole())
    try:
        before = link.traffic().down_bytes
        with pytest.raises(Exception, match="waited"):
            wait_for(
                lambda: link.traffic().down_bytes > before, awaiting="a byte that gets through", timeout_s=SILENCE_S
            )
    finally:
        link.heal()
    wait_for(lambda: link.traffic().down_bytes > before, awaiting="bytes to flow again", timeout_s=PATIENCE_S)
    await_state(stack, "beat-1", State.HEALTHY)


def test_logs_are_readable_while_the_replica_runs(stack: Stack) -> None:
    assert any("Listening at" in line for line in stack.logs("api-1"))
    assert stack.logs("api-1") == (stack.directory / "logs" / "api-1.log").read_text().splitlines()


def test_versions_name_everything_that_runs(stack: Stack) -> None:
    versions = stack.versions()
    expected = {"python", "django", "celery", "kombu", "billiard", "redis-py", "postgres", "redis", "driver", "proxy"}
    assert expected <= set(versions)
    assert versions["driver"] == stack.driver
