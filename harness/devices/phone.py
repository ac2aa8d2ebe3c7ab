"""A simulated phone: registers, backfills in batches and chunks, polls, and syncs on from its anchor."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.devices import queries
from harness.devices.caller import Call, Caller, Check
from harness.devices.generator import BatchPlan, DevicePlan
from harness.devices.sample import Sample
from harness.devices.streams import ZONES
from harness.ledger import Ledger, Outcome

ENDED = frozenset({"COMPLETED", "FAILED", "ABANDONED"})
EVERYBODYS_DEVICE = "everybody's phone"
_COUNTS = ("uploadedCount", "doneCount", "failedCount", "importedSamples", "duplicateSamples", "rejectedSamples")
_ORDER = {"PENDING": 0, "PROCESSING": 1, "COMPLETED": 2, "FAILED": 2, "ABANDONED": 2}


@dataclass(slots=True)
class OpenBatch:
    """A batch as its phone knows it: what it was told so far."""

    plan: BatchPlan
    batch_id: str
    acknowledged: set[int]
    seen: Mapping[str, Any] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the server said that it is over."""
        return self.seen is not None and self.seen["status"] in ENDED


def payload(samples: tuple[Sample, ...]) -> tuple[str, str]:
    """A chunk's JSON text and its digest."""
    text = "[" + ",".join(sample.as_json() for sample in samples) + "]"
    return text, sha256(text)


def account_key(user: str) -> str:
    """The secret with which a user's phones sign in: 43 characters of base64url, always the same.

    Those of each two neighbours (u0 and u1, u2 and u3 …) differ in nothing but the case of their letters: whoever folds
    it makes one account of two.
    """
    stem, _, number = user.rpartition("u")
    pair, is_second = divmod(int(number), 2) if number.isdecimal() else (user, 0)
    key = base64.urlsafe_b64encode(hashlib.sha256(f"{stem}{pair}".encode()).digest()).decode().rstrip("=")
    return key.swapcase() if is_second else key


def sha256(text: str) -> str:
    """As the ledger notes what it must not hold, and as chunks are told apart: in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


class Phone:
    """One device's conversation with the API. Every method is one op (with its retries) noted in the ledger."""

    def __init__(self, plan: DevicePlan, *, caller: Caller, ledger: Ledger) -> None:
        self.plan = plan
        self.caller = caller
        self._ledger = ledger

    def register(self, *, is_away: bool = False) -> bool:
        """Get ids and a token; called again, the ids must stay. False when it did not come to an answer.

        `is_away`: from another time zone than at home; the user's stays that of the first registration.
        """
        zone = _away_from(self.plan.zone) if is_away else self.plan.zone
        token = self._token("register", device_key=self.plan.device, zone=zone)
        if token is None:
            return False
        self.caller.token = token
        return True

    def register_everybodys(self) -> None:
        """Another device of this user, under a key that everybody's has: a device is its user's own."""
        self._token("register_everybodys", device_key=EVERYBODYS_DEVICE, zone=self.plan.zone)

    def _token(self, kind: str, *, device_key: str, zone: str) -> str | None:
        call = Call(
            kind=kind,
            query=queries.REGISTER,
            variables={
                "accountKey": account_key(self.plan.user),
                "deviceKey": device_key,
                "name": self.plan.name,
                "timeZone": zone,
            },
            facts={"zone": self.plan.zone, "account_sha256": sha256(account_key(self.plan.user))},
        )
        result = self.caller.make(
            call,
            facts_of=lambda data: {
                "user_id": data["registerDevice"]["userId"],
                "device_id": data["registerDevice"]["deviceId"],
                "token_sha256": sha256(str(data["registerDevice"]["token"])),
            },
        )
        return None if result.data is None else str(result.data["registerDevice"]["token"])

    def start(self, batch: BatchPlan) -> OpenBatch | None:
        """Open a batch; None when that stayed unresolved. Samples are noted as attempted before."""
        result = self.caller.make(
            start_call(batch, check=lambda data: _started_problems(data["startImport"], count=len(batch.chunks))),
            facts_of=lambda data: {"batch": data["startImport"]["batchId"]},
        )
        if result.data is None:
            return None
        return OpenBatch(plan=batch, batch_id=result.data["startImport"]["batchId"], acknowledged=set())

    def note_samples(self, batch: BatchPlan, index: int) -> None:
        """Note a chunk's samples as attempted; once, before the first upload of it."""
        self._ledger.samples(
            sample.row(
                user=self.plan.user, device=self.plan.device, batch_key=batch.key, index=index, position=position
            )
            for position, sample in enumerate(batch.chunks[index])
        )

    def upload(self, batch: OpenBatch, index: int, *, pin: str | None = None, refusal: str | None = None) -> Outcome:
        """Upload one chunk until it is acknowledged, surely refused (as it must be with `refusal`) or out of time."""
        samples = batch.plan.chunks[index]
        text, digest = payload(samples)
        result = self.caller.make(
            Call(
                kind="upload_chunk",
                query=queries.UPLOAD_CHUNK,
                variables={"batch": batch.batch_id, "index": index, "digest": digest, "samples": text},
                check=lambda data: _upload_problems(data["uploadChunk"], batch=batch, index=index, count=len(samples)),
                refusal=refusal,
                pin=pin,
                batch_key=batch.plan.key,
                batch=batch.batch_id,
                index=index,
                type=batch.plan.type,
                sample_count=len(samples),
            )
        )
        if result.outcome is Outcome.OK:
            batch.acknowledged.add(index)
        return result.outcome

    def poll(self, batch: OpenBatch, *, is_final: bool = False) -> None:
        """Ask for progress once; what was seen before must not be taken back. `is_final`: nothing moves any more."""
        before = batch.seen
        result = self.caller.make(
            Call(
                kind="progress",
                query=queries.PROGRESS,
                variables={"batch": batch.batch_id},
                check=lambda data: _progress_problems(data["importProgress"], batch=batch, before=before),
                batch_key=batch.plan.key,
                batch=batch.batch_id,
                type=batch.plan.type,
                facts={"final": is_final},
            ),
            facts_of=lambda data: {"progress": data["importProgress"]},
        )
        if result.data is not None:
            batch.seen = result.data["importProgress"]

    def anchor(self, type_identifier: str, *, is_final: bool = False) -> str | None:
        """The device's current anchor for a type. `is_final`: nothing moves any more."""
        result = self.caller.make(
            Call(
                kind="anchor",
                query=queries.ANCHOR,
                variables={"type": type_identifier},
                type=type_identifier,
                facts={"final": is_final},
            ),
            facts_of=lambda data: {"anchor": data["anchor"]},
        )
        return None if result.data is None else result.data["anchor"]

    def anchors(self) -> None:
        """All current anchors of the device, for comparison with the rows: ask when nothing moves any more."""
        self.caller.make(
            Call(kind="anchors", query=queries.ANCHORS, variables={}),
            facts_of=lambda data: {"anchors": {each["type"]: each["value"] for each in data["anchors"]}},
        )


def _away_from(zone: str) -> str:
    """Another zone than this."""
    return ZONES[(ZONES.index(zone) + 1) % len(ZONES)]


def start_variables(batch: BatchPlan) -> dict[str, Any]:
    """What `startImport` is asked for a batch."""
    return {
        "key": batch.idempotency_key,
        "type": batch.type,
        "from": batch.starting_anchor,
        "to": batch.new_anchor,
        "count": len(batch.chunks),
    }


def start_call(batch: BatchPlan, *, check: Check) -> Call:
    """The op that starts a batch, or asks where it stands."""
    return Call(
        kind="start_import",
        query=queries.START_IMPORT,
        variables=start_variables(batch),
        check=check,
        batch_key=batch.key,
        type=batch.type,
        facts={
            "idempotency_key": batch.idempotency_key,
            "starting_anchor": batch.starting_anchor,
            "new_anchor": batch.new_anchor,
            "chunk_count": len(batch.chunks),
        },
    )


def _started_problems(started: Mapping[str, Any], *, count: int) -> list[str]:
    indexes = started["uploadedIndexes"]
    if any(not 0 <= index < count for index in indexes) or len(set(indexes)) != len(indexes):
        return [f"uploadedIndexes {indexes} of a batch of {count} chunks"]
    return [] if started["batchId"] else ["no batch id"]


def _upload_problems(received: Mapping[str, Any], *, batch: OpenBatch, index: int, count: int) -> list[str]:
    problems = []
    if received["batchId"] != batch.batch_id or received["index"] != index:
        problems.append(f"uploaded {batch.batch_id}/{index}, told {received['batchId']}/{received['index']}")
    if received["receivedCount"] != count:
        problems.append(f"sent {count} samples, told {received['receivedCount']}")
    return problems


def _progress_problems(now: Mapping[str, Any], *, batch: OpenBatch, before: Mapping[str, Any] | None) -> list[str]:
    problems = []
    chunks = len(batch.plan.chunks)
    if now["batchId"] != batch.batch_id or now["chunkCount"] != chunks:
        problems.append(f"progress of {now['batchId']} with {now['chunkCount']} chunks, expected {chunks}")
    if now["uploadedCount"] < len(batch.acknowledged):
        problems.append(f"{len(batch.acknowledged)} chunks acknowledged, progress knows {now['uploadedCount']}")
    if now["doneCount"] + now["failedCount"] > now["uploadedCount"]:
        problems.append(f"{now['doneCount']} done and {now['failedCount']} failed of {now['uploadedCount']} uploaded")
    if len(now["failedChunks"]) != now["failedCount"]:
        problems.append(f"failedCount {now['failedCount']}, but failedChunks {now['failedChunks']}")
    if sorted(set(now["failedChunks"]) & set(range(chunks))) != now["failedChunks"]:
        problems.append(f"failedChunks {now['failedChunks']} of a batch of {chunks} chunks")
    if now["status"] in ("COMPLETED", "FAILED") and now["doneCount"] + now["failedCount"] != chunks:
        problems.append(f"{now['status']} with {now['doneCount']} done and {now['failedCount']} failed of {chunks}")
    if before is not None and before["failedCount"] == 0:
        # A re-driven chunk legitimately takes failed counts and an end back; nothing else may go backwards.
        fallen = [name for name in _COUNTS if now[name] < before[name]]
        problems += [f"{name} fell from {before[name]} to {now[name]}" for name in fallen]
        if _ORDER.get(now["status"], -1) < _ORDER[before["status"]]:
            problems.append(f"status went from {before['status']} back to {now['status']}")
    return problems
