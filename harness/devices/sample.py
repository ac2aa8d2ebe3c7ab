"""One generated sample: what is sent, how it is marked, and its natural tuple in normal form."""

from __future__ import annotations

import functools
import json
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

import orjson

US_PER_S = 1_000_000
US_PER_MS = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INDIA = timezone(timedelta(hours=5, minutes=30))


class Mark(StrEnum):
    """What must become of a sample.

    VALID is stored; BAD is kept as rejected with its reason; DUPLICATE has the content of another sample of the same
    user and leaves no second record; CONFLICT carries another content under a known UUID: of all contents under one
    UUID exactly one is stored, and the others are kept as rejected with `uuid_conflict`.
    """

    VALID = "valid"
    BAD = "bad"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class Spelling(StrEnum):
    """Ways to write the same sample; none may change what it is."""

    PLAIN = "plain"
    FLOAT = "float"
    EXPONENT = "exponent"
    OFFSET = "offset"
    MICROSECONDS = "microseconds"
    NO_FRACTION = "no_fraction"
    DECOMPOSED = "decomposed"
    RENAMED = "renamed"
    PADDED = "padded"
    LOWER_CASE = "lower_case"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a sample was recorded: `key` is the stable identifier, `kind` is watch, phone or third_party."""

    key: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample as a device sends it. Times in microseconds since the epoch; `value` is a number or a category.

    `raw` replaces the JSON that the fields would give (bad samples). `spelling` changes how the fields are written.
    """

    key: str
    type: str
    start_us: int
    end_us: int
    value: float | str
    unit: str | None
    source: Source
    uuid: str | None
    mark: Mark = Mark.VALID
    reason: str | None = None
    spelling: Spelling = Spelling.PLAIN
    raw: str | None = field(default=None, repr=False)

    def as_json(self) -> str:
        """The element of the uploaded array that stands for this sample."""
        if self.raw is not None:
            return self.raw
        start = spell_time(self.start_us, spelling=self.spelling)
        end = spell_time(self.end_us, spelling=self.spelling)
        # As iOS writes it; in the lab's own books a UUID is in lower case.
        uuid = self.uuid if self.uuid is None or self.spelling is Spelling.LOWER_CASE else self.uuid.upper()
        return (
            f'{{"uuid":{json.dumps(uuid)},"type":{_text(self.type)},"start":"{start}","end":"{end}",'
            f'"value":{spell_value(self.value, spelling=self.spelling)},"unit":{_text(self.unit)},'
            f'"source":{self._source_json()}}}'
        )

    def _source_json(self) -> str:
        key, name = self.source.key, self.source.name
        match self.spelling:
            case Spelling.DECOMPOSED:
                key = unicodedata.normalize("NFD", key)
            case Spelling.PADDED:
                key = f" {key} "
            case Spelling.RENAMED:
                name = f"{name} (2)"
            case _:
                pass
        # Both escaped and plain Unicode are valid JSON and the same text.
        is_escaped = self.spelling is Spelling.OFFSET
        return _source_text(key, name, self.source.kind, is_escaped=is_escaped)

    def row(self, *, user: str, device: str, batch_key: str, index: int, position: int) -> bytes:
        """The sample's line in samples.jsonl, without the newline; `sent` only where the fields do not give it."""
        is_number = not isinstance(self.value, str)
        is_odd = self.raw is not None or self.spelling is not Spelling.PLAIN or self.mark is not Mark.VALID
        return orjson.dumps(
            {
                "sample": self.key,
                "user": user,
                "device": device,
                "batch_key": batch_key,
                "index": index,
                "position": position,
                "mark": self.mark.value,
                "reason": self.reason,
                "type": self.type,
                "start_us": self.start_us,
                "end_us": self.end_us,
                "value": float(self.value) if is_number else None,
                "category": None if is_number else self.value,
                "unit": self.unit,
                "source": normal_source(self.source.key),
                "source_name": f"{self.source.name} (2)" if self.spelling is Spelling.RENAMED else self.source.name,
                "source_kind": self.source.kind,
                "uuid": self.uuid,
                "sent": self.as_json() if is_odd else None,
            }
        )

    def respelt(self, spelling: Spelling, *, key: str) -> Sample:
        """The same sample, written otherwise: a duplicate."""
        return replace(self, key=key, spelling=spelling, mark=Mark.DUPLICATE)


@functools.lru_cache(maxsize=256)
def _text(text: str | None) -> str:
    """A type or unit as JSON: there are few, and each is sent thousands of times."""
    return json.dumps(text)


@functools.lru_cache(maxsize=1024)
def _source_text(key: str, name: str, kind: str, *, is_escaped: bool) -> str:
    return json.dumps({"id": key, "name": name, "kind": kind}, ensure_ascii=is_escaped)


@functools.lru_cache(maxsize=1024)
def normal_source(key: str) -> str:
    """A source's identifier in normal form (NFC, stripped)."""
    return unicodedata.normalize("NFC", key).strip()


def spell_time(at_us: int, *, spelling: Spelling = Spelling.PLAIN) -> str:
    """An instant as text. `MICROSECONDS` adds digits below the millisecond, which are cut."""
    at = _EPOCH + timedelta(microseconds=at_us)
    match spelling:
        case Spelling.OFFSET:
            return at.astimezone(_INDIA).isoformat(timespec="milliseconds")
        case Spelling.FLOAT:
            return at.isoformat(timespec="milliseconds")
        case Spelling.MICROSECONDS:
            return f"{_plain(at)}917Z"
        case Spelling.NO_FRACTION if at.microsecond < US_PER_MS:
            return _plain(at).removesuffix(".000") + "Z"
        case _:
            return f"{_plain(at)}Z"


def _plain(at: datetime) -> str:
    """To the millisecond, cut, without the offset; four times as fast as a format string."""
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00")


def spell_value(value: float | str, *, spelling: Spelling = Spelling.PLAIN) -> str:
    """A value as a JSON literal; every spelling reads as the same float64."""
    if isinstance(value, str):
        return json.dumps(value)
    is_whole = float(value).is_integer() and abs(value) < 1e15
    match spelling:
        case Spelling.EXPONENT:
            mantissa, exponent = f"{value:.17e}".split("e")
            return f"{mantissa}e{int(exponent)}"
        case Spelling.FLOAT:
            return repr(float(value))
        case _:
            return str(int(value)) if is_whole else repr(float(value))
