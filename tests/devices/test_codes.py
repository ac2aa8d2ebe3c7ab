"""Verification codes: guessed, mistyped, used across replicas; what is tried, and what is expected of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.devices import codes
from harness.devices.caller import Caller
from tests.devices.scene import Scene


@pytest.mark.parametrize("does_work", [True, False])
def test_a_code_made_on_one_replica_is_used_on_another_and_again(scene: Scene, does_work: bool) -> None:
    """Its second use is tried whatever the first came to: only the checker knows what was harmed meanwhile."""
    scene.api.answers |= {"requestVerificationCode": {"code": "1", "expiresInS": 60}, "verifyCode": {"ok": does_work}}
    codes.code_across_replicas(scene.phone.caller, replicas=("api-1", "api-2"))
    tries = [op for op in scene.ops() if op["kind"] == "verify_code"]
    assert [each["attempts"][0]["replica"] for each in tries] == ["api-2", "api-1"]
    assert [each["facts"] for each in tries] == [
        {"made_on": "api-1", "expected": True, "use": "first", "ok": does_work},
        {"made_on": "api-1", "expected": False, "use": "second", "ok": does_work},
    ]


def test_a_code_is_used_on_two_replicas_at_once(scene: Scene) -> None:
    scene.api.answers |= {"requestVerificationCode": {"code": "7", "expiresInS": 60}, "verifyCode": {"ok": True}}
    codes.use_twice_at_once(scene.phone.caller, replicas=("api-1", "api-2"))
    tries = [op for op in scene.ops() if op["kind"] == "verify_code"]
    assert {each["attempts"][0]["replica"] for each in tries} == {"api-1", "api-2"}
    assert [each["facts"] for each in tries] == [{"made_on": None, "expected": None, "use": "at_once", "ok": True}] * 2


def test_codes_are_guessed_until_the_tries_are_used_up(scene: Scene) -> None:
    made = [{"code": "000007", "expiresInS": 60}, {"code": "999999", "expiresInS": 60}]
    scene.api.answers |= {"requestVerificationCode": made, "verifyCode": {"ok": False}}
    codes.guess_codes(scene.phone.caller, replicas=("api-1", "api-2"))
    tried = [variables["code"] for name, variables, _ in scene.api.sent if name == "verifyCode"]
    assert tried == ["000007", *(f"{number:06d}" for number in range(codes.CODE_ATTEMPTS)), "999999"]
    facts = [op["facts"] for op in scene.ops() if op["kind"] == "verify_code"]
    assert [each["use"] for each in facts] == ["earlier", *["guess"] * codes.CODE_ATTEMPTS, "spent"]
    assert {(each["expected"], each["ok"]) for each in facts} == {(False, False)}


def test_a_code_is_mistyped_and_works_with_the_last_try(scene: Scene) -> None:
    told: list[object] = [*[{"ok": False}] * (codes.CODE_ATTEMPTS - 1), {"ok": True}]
    scene.api.answers |= {"requestVerificationCode": {"code": "999999", "expiresInS": 60}, "verifyCode": told}
    codes.mistype_code(scene.phone.caller, replicas=("api-1", "api-2"))
    tried = [variables["code"] for name, variables, _ in scene.api.sent if name == "verifyCode"]
    assert tried == [*(f"{number:06d}" for number in range(codes.CODE_ATTEMPTS - 1)), "999999"]
    facts = [op["facts"] for op in scene.ops() if op["kind"] == "verify_code"]
    assert [(each["expected"], each["ok"]) for each in facts] == [
        *[(False, False)] * (codes.CODE_ATTEMPTS - 1),
        (True, True),
    ]


def test_a_code_is_left_alone_when_a_try_was_repeated(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.api.answers |= {"requestVerificationCode": {"code": "999999", "expiresInS": 60}, "verifyCode": {"ok": False}}
    make = Caller.make
    monkeypatch.setattr(Caller, "make", lambda caller, call, **more: replace(make(caller, call, **more), attempts=2))
    codes.mistype_code(scene.phone.caller, replicas=())
    assert [variables["code"] for name, variables, _ in scene.api.sent if name == "verifyCode"] == ["000000"]


def test_a_code_is_left_alone_when_nobody_knows_how_many_tries_were_counted(scene: Scene) -> None:
    told: list[object] = [{"ok": False}, "UNAVAILABLE"]
    scene.api.answers |= {"requestVerificationCode": {"code": "999999", "expiresInS": 60}, "verifyCode": told}
    codes.mistype_code(scene.phone.caller, replicas=())
    assert [variables["code"] for name, variables, _ in scene.api.sent if name == "verifyCode"] == ["000000", "000001"]
