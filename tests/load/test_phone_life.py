"""The life of a phone, against an api that is written here: it asks after a batch while it sends the next ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import orjson
import pytest

from harness.clock import utc_now
from harness.devices import queries
from harness.devices.client import Answer
from harness.ledger import Attempt, Outcome
from harness.load import follower, phone_life
from harness.load.booth import Booth
from harness.load.order import LoadOrder
from harness.load.people import SYNCED_TYPES
from harness.load.timetable import Arrival, Visitor
from tests.load.conftest import MakeOrder

ALONE = Arrival(at_s=0.0, visitor=Visitor.PHONE, person=1, number=0)
READ_S, POLL_EVERY_S = 0.02, 0.005


class InstantApi:
    """Imports a chunk the moment that it is uploaded.

    `asked` are the queries in order, with the batch if it has one.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.counts: dict[str, int] = {}
        self.batches: dict[str, dict[str, Any]] = {}

    def close(self) -> None:
        """Nothing to close."""

    def send(self, query: str, variables: Mapping[str, Any], **_: Any) -> Answer:
        """Answer at once."""
        self.asked.append((query, str(variables.get("batch", ""))))
        now = utc_now().isoformat()
        attempt = Attempt(at=now, ended=now, took_s=0.0, replica="api-1", outcome=Outcome.OK, status=200)
        return Answer(attempt=attempt, data=self._answer(query, variables))

    def _answer(self, query: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        if query == queries.REGISTER:
            return {"registerDevice": {"userId": "1", "deviceId": "2", "token": "t"}}
        if query == queries.START_IMPORT:
            batch = {"type": variables["type"], "chunkCount": variables["count"], "uploadedCount": 0}
            self.batches[variables["key"]] = batch
            return {"startImport": {"batchId": variables["key"], "uploadedIndexes": []}}
        if query == queries.UPLOAD_CHUNK:
            batch = self.batches[variables["batch"]]
            batch["uploadedCount"] += 1
            count = len(json.loads(variables["samples"]))
            self.counts[batch["type"]] = self.counts.get(batch["type"], 0) + count
            return {"uploadChunk": {"batchId": variables["batch"], "index": variables["index"], "receivedCount": count}}
        if query == queries.PROGRESS:
            batch = self.batches[variables["batch"]]
            is_whole = batch["uploadedCount"] == batch["chunkCount"]
            return {
                "importProgress": {
                    "batchId": variables["batch"],
                    "chunkCount": batch["chunkCount"],
                    "uploadedCount": batch["uploadedCount"],
                    "doneCount": batch["uploadedCount"],
                    "failedCount": 0,
                    "failedChunks": [],
                    "status": "COMPLETED" if is_whole else "PROCESSING",
                    "importedSamples": 0,
                    "duplicateSamples": 0,
                    "rejectedSamples": 0,
                }
            }
        if query == queries.AGGREGATES:
            return {"aggregates": [{"day": "2026-03-08", "sampleCount": self.counts[variables["type"]]}]}
        return {"anchor": None}


@pytest.fixture
def booth(order: MakeOrder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Booth]:
    monkeypatch.setattr(phone_life, "READ_S", READ_S)
    monkeypatch.setattr(follower, "POLL_EVERY_S", POLL_EVERY_S)
    small: LoadOrder = order(users=4)
    booth = Booth(small, index=0, meter=lambda *_, **__: None)
    assert list(booth.prepare())
    yield booth
    booth.close()


def test_a_phone_asks_after_a_batch_while_it_sends_the_next(booth: Booth, monkeypatch: pytest.MonkeyPatch) -> None:
    api = InstantApi()
    monkeypatch.setattr(Booth, "client", lambda _: api)
    phone_life.live(booth, ALONE)
    backfill = [batch.idempotency_key for batch in booth.batches(ALONE)]
    uploads = [batch for query, batch in api.asked if query == queries.UPLOAD_CHUNK]
    assert list(dict.fromkeys(uploads))[: len(backfill)] == backfill
    for key, following in pairwise(backfill):
        first_look = api.asked.index((queries.PROGRESS, key))
        assert first_look < api.asked.index((queries.UPLOAD_CHUNK, following))


def test_every_batch_is_seen_to_become_visible(booth: Booth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Booth, "client", lambda _: InstantApi())
    phone_life.live(booth, ALONE)
    ops = [orjson.loads(line) for line in (booth.directory / "ledger.jsonl").read_bytes().splitlines()]
    sent = {each["batch_key"] for each in ops if each["kind"] == "upload_chunk"}
    shown = [each["facts"]["visible_batch"] for each in ops if "end_to_end_s" in each["facts"]]
    assert len(sent) == len(list(booth.batches(ALONE))) + SYNCED_TYPES
    assert sorted(shown) == sorted(sent)
    assert not [each for each in ops if each["wrong"]]


def test_a_phone_that_is_turned_away_sends_nothing_and_says_so(booth: Booth, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(InstantApi):
        def send(self, query: str, variables: Mapping[str, Any], **_: Any) -> Answer:
            now = utc_now().isoformat()
            return Answer(
                attempt=Attempt(at=now, ended=now, took_s=0.0, replica="a", outcome=Outcome.FAILED, status=403)
            )

    monkeypatch.setattr(Booth, "client", lambda _: Closed())
    phone_life.live(booth, ALONE)
    ops = [orjson.loads(line) for line in (booth.directory / "ledger.jsonl").read_bytes().splitlines()]
    assert [(each["kind"], each["outcome"]) for each in ops] == [("register", "FAILED")]
