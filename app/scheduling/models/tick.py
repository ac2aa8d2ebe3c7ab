"""One due time of one schedule entry."""

from django.db import models
from django.db.models.functions import Now


class TickStatus(models.TextChoices):
    """What became of a tick.

    claimed: inserted under the lease, not surely published. published: the broker took the message. done: the task
    ended well. missed: never published, or published and not done long after; reported by a log line and a metric. A
    missed tick whose message turns up late after all still becomes done.
    """

    CLAIMED = "claimed"
    PUBLISHED = "published"
    DONE = "done"
    MISSED = "missed"


class Tick(models.Model):
    """A due time is a row, inserted before its message is published, so that no beat can publish it as a second one."""

    entry = models.TextField()
    due_at = models.DateTimeField()
    status = models.TextField(choices=TickStatus.choices, default=TickStatus.CLAIMED)
    holder = models.TextField(default="")
    created_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        """Unique by entry and due time; the open and the missed ones are found by partial indexes."""

        db_table = "scheduling_tick"
        constraints = [
            models.UniqueConstraint(fields=["entry", "due_at"], name="tick_once_per_due_time"),
            models.CheckConstraint(condition=models.Q(status__in=TickStatus.values), name="tick_status_known"),
        ]
        indexes = [
            models.Index(
                fields=["entry", "due_at"], name="tick_open", condition=models.Q(status__in=["claimed", "published"])
            ),
            models.Index(fields=["due_at"], name="tick_missed", condition=models.Q(status="missed")),
            models.Index(fields=["created_at"], name="tick_created"),
        ]

    def __str__(self) -> str:
        return f"{self.entry}|{self.due_at.isoformat()} {self.status}"
