"""What kinds of sample can be imported: rows, so that a new one needs no release."""

from django.db import models


class SampleKind(models.TextChoices):
    """How samples of a type are aggregated."""

    CUMULATIVE = "cumulative"
    DISCRETE = "discrete"
    SLEEP = "sleep"
    CATEGORY = "category"


class SampleType(models.Model):
    """One HealthKit type. Read with every claim, so a row added while workers run applies to the next chunk."""

    identifier = models.TextField(unique=True)
    name = models.TextField()
    kind = models.TextField(choices=SampleKind.choices)
    unit = models.TextField(blank=True)
    allowed_values = models.JSONField(null=True, blank=True)

    class Meta:
        db_table = "healthkit_sample_type"
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=SampleKind.values), name="healthkit_sample_type_kind"),
        ]

    def __str__(self) -> str:
        return self.identifier
