"""A phone for tests: GraphQL through Django's test client."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from django.test import Client

REGISTER = """mutation($account: String!, $device: String!, $zone: String!) {
  registerDevice(accountKey: $account, deviceKey: $device, name: "phone", timeZone: $zone) {
    userId deviceId token } }"""
START = """mutation($key: String!, $type: String!, $from: String, $to: String, $chunks: Int!) {
  startImport(idempotencyKey: $key, type: $type, startingAnchor: $from, newAnchor: $to, chunkCount: $chunks) {
    batchId status uploadedIndexes } }"""
UPLOAD = """mutation($batch: ID!, $index: Int!, $digest: String!, $samples: String!) {
  uploadChunk(batchId: $batch, index: $index, digest: $digest, samples: $samples) {
    batchId index receivedCount batchStatus } }"""
PROGRESS = "query($batch: ID!) { importProgress(batchId: $batch) { status chunkCount uploadedCount failedChunks } }"
STEPS = "HKQuantityTypeIdentifierStepCount"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, taken apart; `code` is the first error's."""

    status: int
    code: str | None
    data: Any
    headers: dict[str, str]
    text: str


class Phone:
    """One device; not registered until `register`."""

    def __init__(self, *, account: str = "account-1", device: str = "device-1") -> None:
        self.account = account
        self.device = device
        self.token: str | None = None
        self._client = Client(raise_request_exception=False)

    def send(self, query: str, *, headers: dict[str, str] | None = None, **variables: object) -> Reply:
        """One operation."""
        return self.post(json.dumps({"query": query, "variables": variables}), headers=headers)

    def post(
        self, body: str | bytes, *, headers: dict[str, str] | None = None, content_type: str = "application/json"
    ) -> Reply:
        """One request with any body."""
        sent = {"Authorization": f"Bearer {self.token}"} if self.token is not None else {}
        response = self._client.post(
            "/graphql/", data=body, content_type=content_type, headers={**sent, **(headers or {})}
        )
        return reply(response)

    def register(self, *, zone: str = "Europe/Vienna") -> Reply:
        """Register and keep the token."""
        answer = self.send(REGISTER, account=self.account, device=self.device, zone=zone)
        if answer.code is None:
            self.token = answer.data["registerDevice"]["token"]
        return answer

    def start(self, *, key: str = "key-1", chunks: int = 2, to: str | None = "anchor-1") -> Reply:
        """Open an import of steps."""
        return self.send(START, key=key, type=STEPS, to=to, chunks=chunks)

    def upload(self, batch: str, index: int, samples: str = "[]", *, digest: str | None = None) -> Reply:
        """Send a chunk with its right digest, or with another one."""
        right = hashlib.sha256(samples.encode()).hexdigest()
        return self.send(UPLOAD, batch=batch, index=index, digest=digest or right, samples=samples)


def registered(*, account: str = "account-1", device: str = "device-1") -> Phone:
    """A phone that has its token."""
    phone = Phone(account=account, device=device)
    assert phone.register().code is None
    return phone


def batch_of(answer: Reply) -> str:
    """The batch id of a startImport answer."""
    return str(answer.data["startImport"]["batchId"])


def reply(response: Any) -> Reply:
    """Take an answer of the test client apart; it has a class of its own."""
    text = response.content.decode()
    body = json.loads(text)
    errors = body.get("errors")
    return Reply(
        status=response.status_code,
        code=errors[0]["extensions"]["code"] if errors else None,
        data=body.get("data"),
        headers=dict(response.headers),
        text=text,
    )
