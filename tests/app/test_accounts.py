"""Registration, tokens and verification codes."""

import os

import psycopg
import pytest
from django.core.cache import cache
from django.db import connection, transaction

from accounts.registration import device_register
from accounts.tokens import account_key_hash, device_token, token_hash
from accounts.verification import code_request, code_verify
from tests.app.phones import Phone, registered

pytestmark = pytest.mark.usefixtures("stores")


def test_registration_is_idempotent() -> None:
    phone = Phone()
    assert phone.register().data == phone.register().data


def test_registration_waits_for_no_import_of_the_user() -> None:
    """An import holds its user's row for as long as it runs, and keys of the devices that it names."""
    phone = registered()
    with psycopg.connect(os.environ["DATABASE_URL"]) as other, transaction.atomic(), connection.cursor() as cursor:
        other.execute("SELECT 1 FROM accounts_user FOR NO KEY UPDATE")
        other.execute("SELECT 1 FROM accounts_device FOR KEY SHARE")
        cursor.execute("SET LOCAL lock_timeout = '100ms'")
        made = device_register(account_key=phone.account, device_key=phone.device, name="renamed", time_zone="UTC")
    assert made.token == phone.token
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM accounts_device")
        assert cursor.fetchall() == [("renamed",)]


def test_token_is_stored_hashed_only() -> None:
    phone = registered()
    assert phone.token is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT d.token_hash, d::text || u::text FROM accounts_device d JOIN accounts_user u ON true")
        [(stored, everything)] = cursor.fetchall()
    assert stored == token_hash(phone.token)
    assert [secret for secret in (phone.token, phone.account) if secret in everything] == []


def test_tokens_differ_by_account_and_device() -> None:
    tokens = {
        device_token(key_hash=account_key_hash(account), device_key=device)
        for account in ("a", "b")
        for device in ("c", "d")
    }
    assert len(tokens) == 4


def test_zone_is_set_once() -> None:
    registered()
    Phone(device="device-2").register(zone="Asia/Tokyo")
    with connection.cursor() as cursor:
        cursor.execute("SELECT time_zone FROM accounts_user")
        assert cursor.fetchall() == [("Europe/Vienna",)]


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "+02:00", "x" * 300])
def test_unknown_zone_is_refused(zone: str) -> None:
    assert Phone().register(zone=zone).code == "BAD_REQUEST"


def test_code_works_once() -> None:
    made = code_request(device_id=1)
    assert [code_verify(device_id=1, code=made.code) for _ in range(2)] == [True, False]


def test_code_belongs_to_its_device() -> None:
    made = code_request(device_id=1)
    assert code_verify(device_id=2, code=made.code) is False
    assert code_verify(device_id=1, code=made.code) is True


def test_newer_code_voids_the_older() -> None:
    older, newer = code_request(device_id=1), code_request(device_id=1)
    if older.code != newer.code:
        assert code_verify(device_id=1, code=older.code) is False
    assert code_verify(device_id=1, code=newer.code) is True


def test_attempts_are_limited() -> None:
    made = code_request(device_id=1)
    assert [code_verify(device_id=1, code="wrong") for _ in range(5)] == [False] * 5
    assert code_verify(device_id=1, code=made.code) is False


def test_last_attempt_may_still_be_right() -> None:
    made = code_request(device_id=1)
    assert [code_verify(device_id=1, code="wrong") for _ in range(4)] == [False] * 4
    assert code_verify(device_id=1, code=made.code) is True


def test_code_is_not_stored_in_clear() -> None:
    made = code_request(device_id=1)
    stored = [cache.get(key) for key in cache.keys("*")]  # type: ignore[attr-defined]  # django-redis' own method
    assert len(stored) == 2
    assert made.code not in map(str, stored)


def test_code_over_the_api() -> None:
    phone = registered()
    code = phone.send("mutation { requestVerificationCode { code expiresInS } }").data["requestVerificationCode"]
    assert code["expiresInS"] == 600
    verify = "mutation($code: String!) { verifyCode(code: $code) { ok } }"
    answers = [phone.send(verify, code=code["code"]).data["verifyCode"]["ok"] for _ in range(2)]
    assert answers == [True, False]
