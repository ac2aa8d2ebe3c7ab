"""Sorts the raw samples of a chunk into those that can be imported and those that are kept with a reason.

Pure: no database. What only the database knows (a UUID with other content, a closed day) is decided by the insert.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from healthkit.canonical import canonical_number, canonical_source, canonical_time, fingerprint
from healthkit.models.data_source import SourceKind
from healthkit.models.rejected_sample import RejectReason
from healthkit.models.sample_type import SampleKind

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
FUTURE_TOLERANCE = timedelta(hours=24)
LONGEST = timedelta(days=7)
LARGEST = 1e100  # either way: the sums and squares of a day stay within float64
SOURCE_ID_MAX_CHARS = 255
SOURCE_NAME_MAX_CHARS = 255
_PRECEDENCE = {kind.value: rank for rank, kind in enumerate(SourceKind, start=1)}


@dataclass(frozen=True, slots=True)
class TypeRule:
    """What the type's row says; `id` is the row's."""

    id: int
    kind: str
    unit: str
    allowed_values: frozenset[str] | None


class Source(NamedTuple):
    """A source as a sample names it; `identifier` is canonical, 1 is the best `precedence`."""

    identifier: str
    name: str
    kind: str
    precedence: int


class Sample(NamedTuple):
    """A sample that can be imported, in canonical text. Sorts by (start, uuid, position in the chunk); no UUID is "".

    `value` is the canonical number, or None where `category` is set.
    """

    start: str
    uuid: str
    position: int
    end: str
    value: str | None
    category: str | None
    source: Source
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Rejection:
    """A sample that is kept aside, by its position in the chunk."""

    index: int
    reason: RejectReason


@dataclass(frozen=True, slots=True)
class Classified:
    """Accepted samples in the order of insertion, the rejected, and how many repeat an earlier one of the chunk."""

    accepted: list[Sample]
    rejected: list[Rejection]
    duplicate_count: int


class _Unfit(Exception):
    """Internal: a sample that is rejected with `reason`."""

    def __init__(self, reason: RejectReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def samples_classify(
    raw: Sequence[tuple[int, Any]],
    *,
    type_identifier: str,
    rule: TypeRule | None,
    known_types: Collection[str],
    now: datetime,
) -> Classified:
    """Classify `raw`, pairs of (index in the chunk, JSON value); the first of equal samples wins.

    `rule` is None for a type that has no row; `known_types` tells a sample of another known type from an unknown one.
    """
    accepted: dict[bytes, Sample] = {}
    content_of: dict[str, bytes] = {}
    rejected: list[Rejection] = []
    latest = now + FUTURE_TOLERANCE
    duplicate_count = 0
    sources: dict[tuple[Any, ...], Source] = {}
    for index, value in raw:
        try:
            sample = _sample(index, value, type_identifier, rule, known_types, latest, sources)
        except _Unfit as unfit:
            rejected.append(Rejection(index, unfit.reason))
            continue
        if sample.fingerprint in accepted:
            duplicate_count += 1
        elif sample.uuid and content_of.setdefault(sample.uuid, sample.fingerprint) != sample.fingerprint:
            rejected.append(Rejection(index, RejectReason.UUID_CONFLICT))
        else:
            accepted[sample.fingerprint] = sample
    return Classified(sorted(accepted.values(), key=lambda each: each[:3]), rejected, duplicate_count)


def _sample(
    index: int,
    raw: Any,
    type_identifier: str,
    rule: TypeRule | None,
    known_types: Collection[str],
    latest: datetime,
    sources: dict[tuple[Any, ...], Source],
) -> Sample:
    if not isinstance(raw, dict):
        raise _Unfit(RejectReason.MALFORMED)
    uuid = _uuid(raw.get("uuid"))
    named_type = raw.get("type")
    if not isinstance(named_type, str):
        raise _Unfit(RejectReason.MALFORMED)
    if named_type != type_identifier and named_type in known_types:
        raise _Unfit(RejectReason.WRONG_TYPE)
    if named_type != type_identifier or rule is None:
        raise _Unfit(RejectReason.UNKNOWN_TYPE)
    if (raw.get("unit") or "") != rule.unit:
        raise _Unfit(RejectReason.WRONG_UNIT)
    value, category = _value(raw.get("value"), rule)
    start_at, end_at = _moment(raw.get("start")), _moment(raw.get("end"))
    if end_at < start_at or start_at < EARLIEST or end_at > latest or end_at - start_at > LONGEST:
        raise _Unfit(RejectReason.BAD_TIME)
    source = _source(raw.get("source"), sources)
    start, end = canonical_time(start_at), canonical_time(end_at)
    digest = fingerprint(
        type_identifier=type_identifier,
        start=start,
        end=end,
        value=category if value is None else value,
        unit=rule.unit,
        source=source.identifier,
    )
    return Sample(start, uuid, index, end, value, category or None, source, digest)


def _uuid(raw: Any) -> str:
    """Lower case with hyphens; "" for none."""
    if raw is None:
        return ""
    try:
        return str(UUID(raw))
    except (ValueError, AttributeError, TypeError):
        raise _Unfit(RejectReason.MALFORMED) from None


def _value(raw: Any, rule: TypeRule) -> tuple[str | None, str]:
    """(canonical number, "") for quantities, (None, name) for categories."""
    if rule.kind in (SampleKind.SLEEP, SampleKind.CATEGORY):
        if not isinstance(raw, str) or not raw or not _is_storable(raw):
            raise _Unfit(RejectReason.BAD_VALUE)
        if rule.allowed_values is not None and raw not in rule.allowed_values:
            raise _Unfit(RejectReason.BAD_VALUE)
        return None, raw
    if type(raw) not in (int, float):
        raise _Unfit(RejectReason.BAD_VALUE)
    try:
        value = float(raw)
    except OverflowError:
        raise _Unfit(RejectReason.BAD_VALUE) from None
    if not abs(value) <= LARGEST or (value < 0 and rule.kind == SampleKind.CUMULATIVE):
        raise _Unfit(RejectReason.BAD_VALUE)
    return canonical_number(value), ""


def _moment(raw: Any) -> datetime:
    """UTC, truncated to milliseconds: two spellings of one moment are one moment."""
    try:
        moment = datetime.fromisoformat(raw)
        if moment.tzinfo is None:
            raise _Unfit(RejectReason.BAD_TIME)
        if moment.tzinfo is not UTC:
            moment = moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise _Unfit(RejectReason.BAD_TIME) from None
    excess = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - excess) if excess else moment


def _source(raw: Any, known: dict[tuple[Any, ...], Source]) -> Source:
    """The source, remembered in `known`: a chunk names the same few over and over."""
    if not isinstance(raw, dict):
        raise _Unfit(RejectReason.BAD_SOURCE)
    identifier, name, kind = raw.get("id"), raw.get("name"), raw.get("kind")
    name = "" if name is None else name
    if not isinstance(identifier, str) or not isinstance(name, str) or not isinstance(kind, str):
        raise _Unfit(RejectReason.BAD_SOURCE)
    key = (identifier, name, kind)
    if key not in known:
        known[key] = _new_source(identifier, name, kind)
    return known[key]


def _new_source(identifier: str, name: str, kind: str) -> Source:
    identifier = canonical_source(identifier)
    if not identifier or len(identifier) > SOURCE_ID_MAX_CHARS or kind not in _PRECEDENCE:
        raise _Unfit(RejectReason.BAD_SOURCE)
    if not _is_storable(identifier) or not _is_storable(name):
        raise _Unfit(RejectReason.BAD_SOURCE)
    return Source(identifier, name[:SOURCE_NAME_MAX_CHARS], kind, _PRECEDENCE[kind])


def _is_storable(text: str) -> bool:
    """Postgres takes neither NUL nor lone surrogates."""
    if "\x00" in text:
        return False
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)
