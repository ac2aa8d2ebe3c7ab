"""Limits on what clients send, and the refusals that go with them."""

from backend.errors import ApiError, Code

MAX_TEXT_LENGTH = 200  # keys, names, identifiers
MAX_QUERY_LENGTH = 8_192  # of a GraphQL document: values belong into variables
MAX_QUERY_DEPTH = 6
MAX_QUERY_TOKENS = 1_000
MAX_QUERY_ALIASES = 10
MAX_CHUNKS_PER_BATCH = 10_000
# Anchors are in indexes, beside a type's name; Postgres has room for some 2,700 bytes in an index row.
MAX_ANCHOR_BYTES = 1_500
MAX_AGGREGATE_DAYS = 400


def require_text(value: str, *, name: str, max_length: int = MAX_TEXT_LENGTH) -> str:
    """`value`, which is neither blank nor overlong and holds no NUL (which Postgres cannot store).

    Raises: `ApiError` BAD_REQUEST.
    """
    if not value.strip() or len(value) > max_length or "\0" in value:
        raise ApiError(Code.BAD_REQUEST, f"{name}: expected 1 to {max_length} characters, not blank, no NUL")
    return value


def require_bytes(value: str, *, name: str, limit: int) -> None:
    """Raises: `ApiError` BAD_REQUEST when `value` takes more than `limit` bytes as UTF-8."""
    if len(value.encode()) > limit:
        raise ApiError(Code.BAD_REQUEST, f"{name}: expected at most {limit} bytes of UTF-8")


def require_between(value: int, *, name: str, low: int, high: int) -> int:
    """`value`, which lies in `low`..`high`. Raises: `ApiError` BAD_REQUEST."""
    if not low <= value <= high:
        raise ApiError(Code.BAD_REQUEST, f"{name}: expected {low} to {high}")
    return value
