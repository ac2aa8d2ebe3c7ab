"""GraphQL of reminders."""

from datetime import datetime

import strawberry

from backend.context import Info
from reminders.creating import reminder_create


@strawberry.type
class CreatedReminder:
    """A reminder that will be sent."""

    reminder_id: strawberry.ID


@strawberry.type
class RemindersMutation:
    """Mutations of reminders."""

    @strawberry.mutation
    def create_reminder(self, info: Info, key: str, text: str, due_at: datetime) -> CreatedReminder:
        """Be reminded at `dueAt`. Idempotent by `key`."""
        made = reminder_create(user_id=info.context.device.user_id, key=key, text=text, due_at=due_at)
        return CreatedReminder(reminder_id=strawberry.ID(str(made)))
