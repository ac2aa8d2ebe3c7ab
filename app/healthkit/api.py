"""GraphQL of imports. Read-only towards the phone: no mutation changes or exports a record."""

import uuid
from datetime import date

import strawberry

from backend.context import Info
from backend.errors import ApiError, Code
from backend.limits import require_text
from healthkit.accepting import chunk_upload, import_start
from healthkit.models.redrive import RedriveKind
from healthkit.reading import aggregates_read, anchors_read, progress_read
from healthkit.redriving import TargetNotFound, redrive

OPERATOR = "operator (API)"  # in the audit rows; operators share one token


strawberry.enum(RedriveKind)


@strawberry.type
class StartedImport:
    """An open import; chunks of `uploadedIndexes` need not be sent again."""

    batch_id: strawberry.ID
    status: str
    uploaded_indexes: list[int]


@strawberry.type
class ReceivedChunk:
    """The acknowledgement: the raw samples of this chunk, `receivedCount` of them, are committed."""

    batch_id: strawberry.ID
    index: int
    received_count: int
    batch_status: str


@strawberry.type
class ImportProgress:
    """How far an import has got; to be polled."""

    batch_id: strawberry.ID
    status: str
    chunk_count: int
    uploaded_count: int
    done_count: int
    failed_count: int
    imported_samples: int
    duplicate_samples: int
    rejected_samples: int
    failed_chunks: list[int]


@strawberry.type
class Aggregate:
    """Figures of one local day; which of them are set depends on the type's kind."""

    day: date
    total: float | None
    mean: float | None
    minimum: float | None
    maximum: float | None
    sample_count: int


@strawberry.type
class TypeAnchor:
    """The current anchor of one type."""

    type: str
    value: str


@strawberry.type
class Redriven:
    """How many chunks or messages were put back; none the second time."""

    redriven_count: int


@strawberry.type
class HealthkitQuery:
    """Queries of imports."""

    @strawberry.field
    def import_progress(self, info: Info, batch_id: strawberry.ID) -> ImportProgress:
        """Progress of one import of this user."""
        device = info.context.device
        found = progress_read(user_id=device.user_id, batch_id=_batch_id(batch_id))
        return ImportProgress(
            batch_id=strawberry.ID(str(found.batch_id)),
            status=found.status,
            chunk_count=found.chunk_count,
            uploaded_count=found.uploaded_count,
            done_count=found.done_count,
            failed_count=found.failed_count,
            imported_samples=found.imported_samples,
            duplicate_samples=found.duplicate_samples,
            rejected_samples=found.rejected_samples,
            failed_chunks=list(found.failed_chunks),
        )

    @strawberry.field
    def aggregates(self, info: Info, type: str, from_day: date, to_day: date) -> list[Aggregate]:
        """Daily figures of this user, both ends included."""
        rows = aggregates_read(
            user_id=info.context.device.user_id, type_identifier=type, from_day=from_day, to_day=to_day
        )
        return [
            Aggregate(
                day=row.day,
                total=row.total,
                mean=row.mean,
                minimum=row.minimum,
                maximum=row.maximum,
                sample_count=row.sample_count,
            )
            for row in rows
        ]

    @strawberry.field
    def anchor(self, info: Info, type: str) -> str | None:
        """This device's current anchor of one type."""
        return anchors_read(device_id=info.context.device.device_id).get(type)

    @strawberry.field
    def anchors(self, info: Info) -> list[TypeAnchor]:
        """This device's current anchors."""
        found = anchors_read(device_id=info.context.device.device_id)
        return [TypeAnchor(type=type_identifier, value=value) for type_identifier, value in found.items()]


@strawberry.type
class HealthkitMutation:
    """Mutations of imports."""

    @strawberry.mutation
    def start_import(
        self,
        info: Info,
        idempotency_key: str,
        type: str,
        chunk_count: int,
        starting_anchor: str | None = None,
        new_anchor: str | None = None,
    ) -> StartedImport:
        """Open an import, or find the one that this key opened."""
        device = info.context.device
        started = import_start(
            user_id=device.user_id,
            device_id=device.device_id,
            idempotency_key=idempotency_key,
            type_identifier=type,
            starting_anchor=starting_anchor,
            new_anchor=new_anchor,
            chunk_count=chunk_count,
        )
        return StartedImport(
            batch_id=strawberry.ID(str(started.batch_id)),
            status=started.status,
            uploaded_indexes=list(started.uploaded_indexes),
        )

    @strawberry.mutation
    def upload_chunk(self, info: Info, batch_id: strawberry.ID, index: int, digest: str, samples: str) -> ReceivedChunk:
        """Send the samples of one chunk as JSON text; `digest` is the SHA-256 of its UTF-8 in hexadecimal."""
        received = chunk_upload(
            device_id=info.context.device.device_id,
            batch_id=_batch_id(batch_id),
            index=index,
            digest=digest,
            samples=samples,
        )
        return ReceivedChunk(
            batch_id=batch_id,
            index=received.index,
            received_count=received.received_count,
            batch_status=received.batch_status,
        )

    @strawberry.mutation
    def redrive(self, info: Info, kind: RedriveKind, target: strawberry.ID) -> Redriven:
        """For operators: put a batch, a chunk or a dead letter back. Idempotent; leaves an audit row."""
        info.context.require_operator()
        require_text(target, name="target")
        try:
            return Redriven(redriven_count=redrive(kind=kind, target=target, actor=OPERATOR))
        except TargetNotFound:
            raise ApiError(Code.NOT_FOUND, "no such batch, chunk or dead letter") from None


def _batch_id(value: strawberry.ID) -> uuid.UUID:
    """An id that is no UUID cannot be anybody's batch."""
    try:
        return uuid.UUID(value)
    except ValueError:
        raise ApiError(Code.NOT_FOUND, "no such import") from None
