"""Every toxic, measured from outside on both proxies: that it bites, and that healing undoes it.

Times are only ever compared with what the toxic demands, or with the same round trip on the healed link.
"""

from __future__ import annotations

import errno
import socket

import pytest

from harness.clock import wait_for
from harness.drivers.process.link_set import LinkSet
from harness.drivers.process.port_book import PortBook
from harness.links.toxics import Bandwidth, BlackHole, HalfOpen, Latency, Refuse, Reset, Slicer, Traffic
from tests.contract.echo_server import EchoServer
from tests.contract.paths import (
    PATIENCE_S,
    HarmedPath,
    is_clogged,
    is_silent,
    is_turned_away,
    quickest_s,
    read_exactly,
    round_trip,
    took_s,
)


def test_latency_delays_both_directions_and_heals(path: HarmedPath) -> None:
    with path.connection() as client:
        path.link.harm(Latency(latency_s=0.15))
        harmed_s = took_s(client, b"x")
        path.link.heal()
        healed_s = quickest_s(client, b"x")
    assert harmed_s >= 2 * 0.15
    assert healed_s < harmed_s / 2


def test_jitter_varies_the_delay_within_its_bounds(path: HarmedPath) -> None:
    with path.connection() as client:
        path.link.harm(Latency(latency_s=0.05, jitter_s=0.04))
        times_s = [took_s(client, b"x") for _ in range(30)]
    assert 2 * (0.05 - 0.04) <= min(times_s) < 2 * 0.05 < max(times_s)


def test_jitter_keeps_the_order_of_bytes(path: HarmedPath) -> None:
    sent = [f"{number:04d}".encode() for number in range(200)]
    with path.connection() as client:
        path.link.harm(Latency(latency_s=0.03, jitter_s=0.03))
        for message in sent:
            client.sendall(message)
        seen = read_exactly(client, 4 * len(sent))
    assert seen == b"".join(sent)


def test_bandwidth_limits_bytes_per_second_and_heals(path: HarmedPath) -> None:
    payload = b"b" * 60_000
    with path.connection() as client:
        path.link.harm(Bandwidth(bytes_per_s=100_000))
        harmed_s = took_s(client, payload)
        path.link.heal()
        healed_s = quickest_s(client, payload)
    assert harmed_s >= 0.8 * len(payload) / 100_000
    assert healed_s < harmed_s / 2


def test_slicer_cuts_the_stream_and_heals(path: HarmedPath) -> None:
    payload = bytes(range(256)) * 8
    with path.connection() as client:
        path.link.harm(Slicer(size_bytes=100, delay_s=0.05))
        client.sendall(payload)
        pieces: list[bytes] = []
        while sum(len(piece) for piece in pieces) < len(payload):
            pieces.append(client.recv(65536))
        path.link.heal()
        assert round_trip(client, payload) == payload
    assert b"".join(pieces) == payload
    assert len(pieces) >= 5


def test_black_hole_silences_old_and_new_connections_without_a_reset(path: HarmedPath) -> None:
    with path.connection() as old:
        path.link.harm(BlackHole())
        old.sendall(b"lost?")
        assert is_silent(old)
        with path.raw_connection() as new:
            new.sendall(b"anyone?")
            assert is_silent(new)
        path.link.heal()
        path.await_passing()


@pytest.mark.parametrize("by_reset", [False, True], ids=["in-order", "by-reset"])
def test_black_hole_hides_that_the_other_end_closed(path: HarmedPath, by_reset: bool) -> None:
    with path.connection() as old:
        path.link.harm(BlackHole())
        path.server.close_all(by_reset=by_reset)
        assert is_silent(old)


def test_half_open_silences_old_connections_for_ever_and_lets_new_ones_pass(path: HarmedPath) -> None:
    with path.connection() as busy, path.connection() as idle:
        path.link.harm(HalfOpen())
        busy.sendall(b"still there?")
        assert is_silent(busy)
        with path.connection():
            path.link.heal()
        busy.sendall(b"and now?")
        assert is_silent(busy)
        assert is_silent(idle)


@pytest.mark.parametrize("later", [Reset(), Refuse()], ids=["reset", "refuse"])
def test_half_open_connections_stay_silent_under_a_later_toxic(path: HarmedPath, later: Reset | Refuse) -> None:
    with path.connection() as old:
        path.link.harm(HalfOpen())
        path.link.harm(later)
        assert is_silent(old)


@pytest.mark.parametrize("by_reset", [False, True], ids=["in-order", "by-reset"])
def test_half_open_hides_that_the_other_end_closed(path: HarmedPath, by_reset: bool) -> None:
    with path.connection() as old:
        path.link.harm(HalfOpen())
        path.server.close_all(by_reset=by_reset)
        old.sendall(b"still there?")
        assert is_silent(old)


def test_half_open_hides_from_the_store_that_a_client_with_unread_bytes_went(path: HarmedPath) -> None:
    with path.raw_connection() as deaf:
        deaf.settimeout(1.0)
        assert is_clogged(deaf)
        ended = path.server.ended
        path.link.harm(HalfOpen())
    with path.connection() as other:
        assert is_silent(other)
    wait_for(lambda: path.server.ended > ended, awaiting="the end of the other connection", timeout_s=PATIENCE_S)
    assert path.server.ended == ended + 1


def test_reset_reaches_idle_connections_once(path: HarmedPath) -> None:
    with path.connection() as idle:
        path.link.harm(Reset())
        with pytest.raises(ConnectionResetError):
            idle.recv(1)
    with path.connection() as after:
        assert round_trip(after, b"x") == b"x"


def test_refuse_refuses_new_connections_and_closes_open_ones(path: HarmedPath) -> None:
    with path.connection() as old:
        path.link.harm(Refuse())
        with pytest.raises(ConnectionResetError):
            old.recv(1)
    with socket.socket() as new:
        assert new.connect_ex(("127.0.0.1", path.port)) == errno.ECONNREFUSED
    path.link.heal()
    path.await_passing()


def test_heal_is_bounded_when_a_client_does_not_read(path: HarmedPath) -> None:
    path.link.harm(Latency(latency_s=0.1))
    with path.raw_connection() as deaf:
        deaf.settimeout(1.0)
        assert is_clogged(deaf)
        path.link.heal()
        path.await_passing()


def test_a_store_that_is_down_ends_connections_and_the_link_recovers(links: tuple[LinkSet, PortBook]) -> None:
    link_set, ports = links
    port = ports.number("api-redis")
    assert is_turned_away(port)
    with EchoServer(ports.number("redis")) as server:
        HarmedPath(link=link_set.link("api", "redis"), port=port, server=server).await_passing()


def test_a_fault_hits_one_service_alone(links: tuple[LinkSet, PortBook]) -> None:
    link_set, ports = links
    with EchoServer(ports.number("redis")) as server:
        harmed = HarmedPath(link=link_set.link("worker", "redis"), port=ports.number("worker-redis"), server=server)
        spared = HarmedPath(link=link_set.link("api", "redis"), port=ports.number("api-redis"), server=server)
        harmed.link.harm(Refuse())
        try:
            assert not harmed.passes()
            assert spared.passes()
        finally:
            harmed.link.heal()


def test_traffic_tells_silenced_connections_and_the_oldest_that_is_open(path: HarmedPath) -> None:
    before = path.link.traffic()
    with path.connection():
        with path.connection():
            path.link.harm(HalfOpen())
        with path.connection():
            after = path.link.traffic()
    assert after.silenced >= before.silenced + 2
    assert after.oldest == before.opened + 3


def test_a_round_trip_of_the_proxys_own_takes_as_long_as_a_clients(path: HarmedPath) -> None:
    path.await_passing()
    free_s = min(path.link.round_trip_s(b"x") for _ in range(5))
    path.link.harm(Latency(latency_s=0.15))
    harmed_s = path.link.round_trip_s(b"x")
    path.link.heal()
    assert harmed_s >= 2 * 0.15
    assert free_s < harmed_s / 2


def test_traffic_counts_bytes_and_connections(path: HarmedPath) -> None:
    before = path.link.traffic()
    with path.connection() as client:
        assert round_trip(client, b"c" * 5_000) == b"c" * 5_000
        passed = len(b"hello") + 5_000
        during = Traffic(
            opened=before.opened + 1,
            open=before.open + 1,
            up_bytes=before.up_bytes + passed,
            down_bytes=before.down_bytes + passed,
            silenced=before.silenced,
            oldest=before.opened + 1 if before.oldest is None else before.oldest,
        )
        wait_for(
            lambda: path.link.traffic() == during,
            awaiting=str(during),
            timeout_s=PATIENCE_S,
            seen=lambda: str(path.link.traffic()),
        )
