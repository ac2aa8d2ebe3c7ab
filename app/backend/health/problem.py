"""One thing that somebody should look at."""

from dataclasses import asdict, dataclass
from enum import StrEnum

MAX_LISTED = 20  # problems of one code that are listed one by one


class ProblemCode(StrEnum):
    """The closed list of /health/imports."""

    IMPORT_OVERDUE = "import_overdue"
    QUEUE_WITHOUT_CONSUMER = "queue_without_consumer"
    MESSAGE_OVERDUE = "message_overdue"
    BROKER_UNREACHABLE = "broker_unreachable"
    BROKER_EVICTION_UNSAFE = "broker_eviction_unsafe"
    DATABASE_UNREACHABLE = "database_unreachable"
    TICKS_MISSED = "ticks_missed"
    SCHEDULE_UNREADABLE = "schedule_unreadable"
    DEAD_LETTERS = "dead_letters"
    BEAT_ABSENT = "beat_absent"
    REMINDERS_OVERDUE = "reminders_overdue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """`detail` says what was expected and what was seen; ids name the batch or queue where there is one."""

    code: ProblemCode
    detail: str
    batch: str | None = None
    queue: str | None = None

    def as_json(self) -> dict[str, str]:
        """The problem without what is not set."""
        return {name: str(value) for name, value in asdict(self).items() if value is not None}
