"""Calls beside the imports: reminders, aggregates, strangers, repeated uploads."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from typing import Any

from harness.devices import queries
from harness.devices.caller import Call, Caller
from harness.devices.generator import BatchPlan
from harness.devices.limits import MOST_SAMPLES
from harness.devices.phone import OpenBatch, Phone, payload, sha256
from harness.ledger import Outcome

# What people call one of their reminders: a key is its user's own.
EVERYBODYS_KEY = "everybody's reminder"
LONGEST_TEXT = 1_000
# How long a reminder's time was over when a phone that was offline came to order it: it is sent all the same, at once.
TOO_LATE = timedelta(hours=30)
_DETAILS = ", ½ tablet at 8 o’clock with a glass of water 💊"
_ELSEWHERE = timezone(timedelta(hours=-3, minutes=-30))


@dataclass(frozen=True, slots=True)
class ReminderPlan:
    """A reminder as it was ordered; `due` is aware UTC."""

    key: str
    text: str
    due: datetime


def order_reminder(caller: Caller, *, number: int, due: datetime, is_everybodys: bool = False) -> ReminderPlan:
    """Order a reminder, twice with the same key and time (once with an offset): the same id must come back.

    `due` is aware UTC, cut to whole milliseconds: what is compared at the end must survive JSON and Postgres.
    Another text or time under that key is refused. One that `is_everybodys` has a key that other users have, too. Every
    other one has the longest text that may be ordered.
    """
    due = due.replace(microsecond=due.microsecond // 1000 * 1000)
    text = f"Medication {number} of {caller.device}"
    plan = ReminderPlan(
        key=EVERYBODYS_KEY if is_everybodys else f"{caller.device}/reminder{number}",
        text=text if number % 2 == 0 else (text + _DETAILS * LONGEST_TEXT)[:LONGEST_TEXT],
        due=due,
    )
    facts = {"key": plan.key, "text": plan.text, "due": due.isoformat()}
    seen: list[str] = []

    def check(data: Mapping[str, Any]) -> list[str]:
        seen.append(str(data["createReminder"]["reminderId"]))
        return [] if len(set(seen)) == 1 else [f"one reminder key, ids {seen}"]

    variables = {"key": plan.key, "text": plan.text, "due": due.astimezone(_ELSEWHERE).isoformat()}
    call = Call(kind="create_reminder", query=queries.CREATE_REMINDER, variables=variables, check=check, facts=facts)
    for spelt in (call, replace(call, variables={**variables, "due": due.isoformat()})):
        result = caller.make(spelt, facts_of=lambda data: {"reminder_id": str(data["createReminder"]["reminderId"])})
        if result.outcome is not Outcome.OK:
            return plan
    later = (due + timedelta(milliseconds=1)).isoformat()
    for other in ({**variables, "text": plan.text[1:]}, {**variables, "due": later}):
        caller.make(Call("other_reminder", queries.CREATE_REMINDER, other, refusal="CONFLICT", facts={"key": plan.key}))
    return plan


def ask_aggregates(
    caller: Caller, *, type_identifier: str, first: date, last: date, is_final: bool
) -> tuple[date, ...]:
    """Ask for daily aggregates; the days that were told. The ledger keeps the answer when it is the final one."""
    result = caller.make(
        Call(
            kind="aggregates",
            query=queries.AGGREGATES,
            variables={"type": type_identifier, "from": first.isoformat(), "to": last.isoformat()},
            check=lambda data: _aggregate_problems(data["aggregates"], first=first, last=last),
            type=type_identifier,
            facts={"final": is_final, "first": first.isoformat(), "last": last.isoformat()},
        ),
        facts_of=lambda data: {"days": data["aggregates"]} if is_final else {"count": len(data["aggregates"])},
    )
    return () if result.data is None else tuple(date.fromisoformat(day["day"]) for day in result.data["aggregates"])


def ask_aggregates_exactly(caller: Caller, *, type_identifier: str, days: tuple[date, ...]) -> None:
    """Ask from the first to the last of the days that were told, then for the last alone: both ends are included."""
    for first, last in ((days[0], days[-1]), (days[-1], days[-1])) if days else ():
        ask_aggregates(caller, type_identifier=type_identifier, first=first, last=last, is_final=True)


def _aggregate_problems(days: list[Mapping[str, Any]], *, first: date, last: date) -> list[str]:
    named = [day["day"] for day in days]
    if len(set(named)) != len(named):
        return ["a day came twice"]
    if named != sorted(named):
        return ["the days are not in ascending order"]
    outside = [day for day in named if not first.isoformat() <= day <= last.isoformat()]
    return [f"days that were not asked for: {outside[:3]}"] if outside else []


def ask_as_stranger(caller: Caller, *, batch: OpenBatch) -> None:
    """Ask for, and upload to, somebody else's batch: 404 both times."""
    key, batch_id = batch.plan.key, batch.batch_id
    text, digest = payload(())
    variables = {"batch": batch.batch_id, "index": 0, "digest": digest, "samples": text}
    probes = (
        Call(
            kind="foreign_progress",
            query=queries.PROGRESS,
            variables={"batch": batch_id},
            refusal="NOT_FOUND",
            batch_key=key,
            batch=batch_id,
        ),
        Call(
            kind="foreign_upload",
            query=queries.UPLOAD_CHUNK,
            variables=variables,
            refusal="NOT_FOUND",
            batch_key=key,
            batch=batch_id,
        ),
    )
    for probe in probes:
        caller.make(probe)


def ask_without_token(phone: Phone, *, batch: OpenBatch) -> None:
    """Ask without a token: 401."""
    token, phone.caller.token = phone.caller.token, None
    phone.caller.make(
        Call("anonymous_progress", queries.PROGRESS, {"batch": batch.batch_id}, refusal="UNAUTHENTICATED")
    )
    phone.caller.token = token


def ask_nonsense(caller: Caller, *, batch: OpenBatch) -> None:
    """Forged ids and uploads that no chunk may come from: a documented code each, and no trace."""
    empty, digest = payload(())
    too_many = "[" + ",".join("0" * (MOST_SAMPLES + 1)) + "]"
    uploads = (
        ("not JSON", "{", None, "BAD_REQUEST"),
        ("no array", "{}", None, "BAD_REQUEST"),
        ("wrong digest", empty, "0" * 64, "BAD_REQUEST"),
        ("too many", too_many, None, "TOO_LARGE"),
    )
    forged = ({"batch": "00000000-0000-4000-8000-000000000000"}, "NOT_FOUND"), ({"batch": "no uuid"}, "NOT_FOUND")
    probes = [
        Call(
            kind="nonsense_upload",
            query=queries.UPLOAD_CHUNK,
            variables={"batch": batch.batch_id, "index": 0, "samples": text, "digest": given or sha256(text)},
            refusal=code,
            batch_key=batch.plan.key,
            facts={"nonsense": name},
        )
        for name, text, given, code in uploads
    ]
    probes.append(
        Call(
            kind="nonsense_upload",
            query=queries.UPLOAD_CHUNK,
            variables={"batch": batch.batch_id, "index": 1_000_000, "samples": empty, "digest": digest},
            refusal="BAD_REQUEST",
            facts={"nonsense": "index"},
        )
    )
    probes += [Call("nonsense_progress", queries.PROGRESS, variables, refusal=code) for variables, code in forged]
    for probe in probes:
        caller.make(probe)


def upload_together(phone: Phone, batch: OpenBatch, indexes: Sequence[int]) -> None:
    """Upload these chunks at the same moment. One that is named twice gets the same answer twice."""
    with ThreadPoolExecutor(max_workers=len(indexes), thread_name_prefix="together") as pool:
        for upload in [pool.submit(phone.upload, batch, index) for index in indexes]:
            upload.result()


def start_at_once(phone: Phone, plan: BatchPlan) -> OpenBatch | None:
    """Start one import twice at the same moment: both get the same batch."""
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="at-once") as pool:
        first, second = [start.result() for start in [pool.submit(phone.start, plan) for _ in range(2)]]
    if first is not None and second is not None and second.batch_id != first.batch_id:
        phone.caller.make(_same_key_other_batch(first, second))
    return first or second


def repeat(phone: Phone, batch: OpenBatch, *, rng: random.Random) -> None:
    """Do again what was acknowledged: start and upload give the same answer, other content is refused with 409."""
    again = phone.start(batch.plan)
    if again is not None and again.batch_id != batch.batch_id:
        phone.caller.make(_same_key_other_batch(batch, again))
    if not batch.acknowledged:
        return
    index = rng.choice(sorted(batch.acknowledged))
    phone.upload(batch, index)
    text, digest = payload(batch.plan.chunks[index][:-1])
    phone.caller.make(
        Call(
            kind="other_content",
            query=queries.UPLOAD_CHUNK,
            variables={"batch": batch.batch_id, "index": index, "digest": digest, "samples": text},
            refusal="CONFLICT",
            batch_key=batch.plan.key,
            batch=batch.batch_id,
            index=index,
        )
    )


def _same_key_other_batch(batch: OpenBatch, again: OpenBatch) -> Call:
    """A harmless question whose noted answer says that one idempotency key gave two batches."""
    problem = f"one idempotency key, batches {batch.batch_id} and {again.batch_id}"
    return Call(
        kind="progress",
        query=queries.PROGRESS,
        variables={"batch": batch.batch_id},
        check=lambda _data: [problem],
        batch_key=batch.plan.key,
        batch=batch.batch_id,
    )
