"""Who put what back: the audit of re-drives."""

from django.db import models
from django.db.models.functions import Now


class RedriveKind(models.TextChoices):
    """What can be put back."""

    BATCH = "batch"
    CHUNK = "chunk"
    DEAD_LETTER = "dead_letter"


class Redrive(models.Model):
    """One call of the re-drive, also one that found nothing to do. `redriven_count`: what it put back."""

    kind = models.TextField(choices=RedriveKind.choices)
    target = models.TextField()
    actor = models.TextField()
    redriven_count = models.IntegerField(db_default=0)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "healthkit_redrive"
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=RedriveKind.values), name="healthkit_redrive_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"
