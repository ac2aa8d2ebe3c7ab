"""Every refusal has its documented code and status; no answer shows a trace."""

import json
from pathlib import Path

import psycopg
import pytest
import redis
from django.db import InterfaceError, InternalError, OperationalError
from django.test import Client

from accounts import api as accounts_api
from backend.errors import Code, api_error_of
from harness.devices.malformed import Malformed, malformed_of
from healthkit.models import ImportBatch
from reminders.models import Reminder
from tests.app.phones import Phone, registered, reply

DOCS = Path(__file__).parents[2] / "docs" / "errors.md"
VERIFY = 'mutation { verifyCode(code: "1") { ok } }'
# The test's own copy of the contract.
STATUS = {
    "BAD_REQUEST": 400,
    "UNAUTHENTICATED": 401,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "TOO_LARGE": 413,
    "RATE_LIMITED": 429,
    "UNAVAILABLE": 503,
    "INTERNAL": 500,
}
PRE_WRITE = {"BAD_REQUEST", "UNAUTHENTICATED", "NOT_FOUND", "CONFLICT", "TOO_LARGE", "RATE_LIMITED"}

AWAY = [
    OperationalError("server closed the connection"),
    InterfaceError("connection already closed"),
    InternalError("terminating connection due to idle-in-transaction timeout"),
    psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"),
    redis.TimeoutError("Timeout reading from socket"),
]


def test_codes_and_statuses() -> None:
    assert {code.name: code.value for code in Code} == STATUS
    assert {code.name for code in Code if code.is_prewrite} == PRE_WRITE


def test_docs_list_the_same_codes() -> None:
    table = [line.split("|")[1:4] for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    documented = {code.strip(" `"): (int(status), pre.strip() == "yes") for code, status, pre in table}
    assert documented == {code: (status, code in PRE_WRITE) for code, status in STATUS.items()}


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_a_store_that_is_away(error: Exception) -> None:
    answer = api_error_of(error)
    assert (answer.code, answer.retry_after_s) == (Code.UNAVAILABLE, 2.0)
    assert str(error) not in answer.message


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("error", [*AWAY, ValueError("secret 42")], ids=lambda error: type(error).__name__)
def test_what_a_resolver_raises_is_answered_by_its_code(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: object) -> bool:
        raise error

    phone = registered()
    monkeypatch.setattr(accounts_api, "code_verify", fail)
    answer = phone.send(VERIFY)
    expected = "INTERNAL" if isinstance(error, ValueError) else "UNAVAILABLE"
    assert (answer.status, answer.code) == (STATUS[expected], expected)
    assert answer.headers.get("Retry-After") == (None if expected == "INTERNAL" else "2")
    logged = "request_failed" if expected == "INTERNAL" else "store_unavailable"
    assert [getattr(each, "event", "") for each in caplog.records].count(logged) == 1
    assert [word for word in ("Traceback", "secret", str(error)) if word in answer.text] == []


TOKENS = {"none": None, "unknown": "Bearer x", "other scheme": "Basic eDp5", "empty": "Bearer "}


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("kind", list(TOKENS))
def test_without_a_token(kind: str) -> None:
    sent = TOKENS[kind]
    answer = Phone().send(VERIFY, headers={"Authorization": sent} if sent is not None else None)
    assert (answer.status, answer.code, answer.headers["WWW-Authenticate"]) == (401, "UNAUTHENTICATED", "Bearer")


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("sent", [{}, {"X-Operator-Token": "wrong"}, {"X-Operator-Token": "ü"}], ids=str)
def test_redrive_is_for_operators(sent: dict[str, str]) -> None:
    answer = registered().send('mutation { redrive(kind: BATCH, target: "1") { redrivenCount } }', headers=sent)
    assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")


DEEP = "query { __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }"
MALFORMED = {
    "no JSON": b"{",
    "no UTF-8": b'{"query": "\xff"}',
    "lone surrogate": b'{"query": "{ anchors { type } }", "variables": {"a": "\\ud800"}}',
    "no object": b"[1]",
    "no query": b"{}",
    "variables of the wrong shape": json.dumps({"query": "{ anchors { type } }", "variables": [1]}).encode(),
    "syntax": json.dumps({"query": "{ anchors {"}).encode(),
    "unknown field": json.dumps({"query": "{ records { id } }"}).encode(),
    "missing variable": json.dumps({"query": "query($b: ID!) { importProgress(batchId: $b) { status } }"}).encode(),
    "two mutations": json.dumps(
        {"query": "mutation { requestVerificationCode { code } verifyCode(code: 1) { ok } }"}
    ).encode(),
    "mutations in a fragment": json.dumps(
        {"query": "mutation { ...f } fragment f on Mutation { requestVerificationCode { code } }"}
    ).encode(),
    "long document": json.dumps({"query": "{ anchors { type } }" + " " * 9_000}).encode(),
    "many tokens": json.dumps({"query": "{ anchors { " + "type " * 1_100 + "} }"}).encode(),
    "many aliases": json.dumps(
        {"query": "{ " + " ".join(f"a{n}: anchors {{ type }}" for n in range(11)) + " }"}
    ).encode(),
    "introspection bomb": json.dumps({"query": DEEP}).encode(),
    "unknown operation": json.dumps({"query": "query a { anchors { type } }", "operationName": "b"}).encode(),
    "subscription": json.dumps({"query": "subscription { anchors { type } }"}).encode(),
}


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("case", list(MALFORMED))
def test_malformed_request(case: str) -> None:
    answer = registered().post(MALFORMED[case])
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("sent", malformed_of("key"), ids=lambda each: each.name)
def test_what_the_lab_sends_malformed(sent: Malformed) -> None:
    answer = registered().post(sent.body, content_type=sent.content_type)
    assert (answer.status, answer.code) == (STATUS[sent.refusal], sent.refusal)
    assert not ImportBatch.objects.exists()
    assert not Reminder.objects.exists()


def test_only_post_of_json() -> None:
    client = Client()
    got, form = client.get("/graphql/"), client.post("/graphql/", {"query": "{ anchors { type } }"})
    assert [reply(each).code for each in (got, form)] == ["BAD_REQUEST"] * 2


def test_large_body_is_refused_before_it_is_parsed() -> None:
    answer = Phone().post(b"x" * 2_097_153)
    assert (answer.status, answer.code) == (413, "TOO_LARGE")


def test_unknown_host_and_page() -> None:
    client = Client()
    host, page = client.get("/graphql/", headers={"Host": "evil.example"}), client.get("/nowhere")
    answers = [reply(host), reply(page)]
    assert [(each.status, each.code) for each in answers] == [(400, "BAD_REQUEST"), (404, "NOT_FOUND")]


def test_health_is_answered_for_any_host() -> None:
    assert Client().get("/health/live", headers={"Host": "10.1.2.3"}).status_code == 200


@pytest.mark.usefixtures("stores")
def test_token_limit_is_what_refuses_many_tokens() -> None:
    assert "tokens" in registered().post(MALFORMED["many tokens"]).text
