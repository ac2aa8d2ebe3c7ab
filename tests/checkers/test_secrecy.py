"""Secrecy: nothing that a phone sent or was told stands in a log line of the app."""

from __future__ import annotations

from typing import Any

import pytest

from harness.anomaly import Kind
from harness.checkers import secrecy
from harness.devices.phone import account_key, sha256
from tests.checkers.world import STARTED, STARTED_MS, World, uuid_of

TOKEN = "q3Zr8K0mA_x4TnB2vW-7cYdE1fGhJiLkMoPpQsRtUuV"
KEY = account_key("u1")
LETTERED = "abcdefab-cdef-4bcd-abcd-efabcdefabcd"
NUMBER = 63.00000000000001


def say(world: World, message: str, *, service: str = "worker", **line: Any) -> None:
    """A log line of the app."""
    whole = {"ts": STARTED.isoformat(), "event": "chunk_finished", "message": message, **line}
    world.add(
        "log_lines", at_ms=STARTED_MS, replica=f"{service}-1", service=service, level="INFO", event="chunk_finished",
        batch="b", idx=3, message=message, line=whole,
    )  # fmt: skip


def with_secrets(world: World) -> World:
    world.op(kind="request_code", facts={"code": "123456"})
    world.op(kind="create_reminder", facts={"text": "Take the blue one", "reminder_id": "1", "key": "k"})
    world.one("samples", mark="valid")["value"] = NUMBER
    world.rows["samples"][-1]["uuid"] = LETTERED
    world.one("records")["value"] = NUMBER
    return world


def test_ordinary_lines_leak_nothing(world: World) -> None:
    with_secrets(world)
    say(
        world,
        "committed",
        batch=uuid_of(4_000),
        chunk=3,
        imported=97,
        took=0.123456,
        key="5:2026-03-10T12:00:00.123456",
    )
    say(world, "HKQuantityTypeIdentifierHeartRate of 2026-03-10: 61 samples, pid 1234567, 61 count/min")
    say(world, f"digest {'0123456789abcdef' * 4} redis://:***@redis:6379/0 postgres://app@db/app")
    say(world, f"record {uuid_of(0)} Take the blue one", service="postgres")
    assert secrecy.check(world.evidence()) == ()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"sample {uuid_of(0)}", "the UUID of a sample"),
        (f"sample {LETTERED.upper()} as sent", "the UUID of a sample"),
        ("at 2026-03-10T12:00:00.000Z", "the time of a sample"),
        (f"value {NUMBER}", "the value of a sample"),
        ("from watch.u1", "the source of a sample"),
        ("sent Take the blue one", "the text of a reminder"),
        ("code 123456 made", "a verification code"),
        (f"registered with {TOKEN}", "what looks like a token or a key"),
        (f"account {KEY} made", "what looks like a token or a key"),
        ("at postgresql://app:hunter2@db:5432/app", "a password in a URL"),
    ],
    ids=lambda text: text.split(" ")[0] if " " in text else text,
)
def test_what_leaks_is_named_and_not_repeated(world: World, text: str, what: str) -> None:
    say(with_secrets(world), text)
    say(world, text)
    [found] = secrecy.check(world.evidence())
    assert found.kind is Kind.LEAKED
    assert found.summary == f"2 log lines of worker-1 (chunk_finished) hold {what}"
    assert (found.ids["service"], found.ids["batch"], found.ids["chunk"]) == ("worker-1", "b", "3")


@pytest.mark.parametrize(
    ("source", "text", "what"),
    [
        ("accounts_device", f"(1,1,d0,{TOKEN},2026)", "the token of a device"),
        ("accounts_device", f"(1,1,d0,{sha256(TOKEN)},2026)", None),
        ("accounts_device", f"(1,1,d0,{TOKEN[::-1]},2026)", None),
        ("accounts_user", f"(1,{KEY},UTC)", "the key of an account"),
        ("accounts_user", "(1,0f1e2d,UTC)", None),
    ],
    ids=["token", "its hash", "another's", "key", "hash of a key"],
)
@pytest.mark.parametrize("kind", ["register", "register_everybodys"])
def test_what_is_stored_as_it_is(world: World, kind: str, source: str, text: str, what: str | None) -> None:
    world.op(kind=kind, facts={"token_sha256": sha256(TOKEN), "account_sha256": sha256(KEY)})
    world.add("account_rows", source=source, id=1, text=text)
    found = secrecy.check(world.evidence())
    assert [(each.kind, each.summary) for each in found] == (
        [(Kind.LEAKED, f"row 1 of {source} holds {what} as it is")] if what else []
    )
    assert all(TOKEN not in str(each) for each in found)
