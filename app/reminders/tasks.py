"""Tasks of reminders, on queue `high`."""

from celery import shared_task

from reminders.refusals import SEND_TASK
from reminders.services import delivery_send, reminders_send_due


@shared_task(name="reminders.send_due")  # type: ignore[untyped-decorator]  # Celery has no types
def send_due() -> None:
    """Dispatch what is due; on beat's schedule."""
    reminders_send_due()


@shared_task(name=SEND_TASK)  # type: ignore[untyped-decorator]  # Celery has no types
def send_one(delivery_id: int) -> None:
    """Send one delivery; a no-op unless it is due, pending and unclaimed."""
    delivery_send(delivery_id)
