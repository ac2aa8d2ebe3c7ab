"""Counts that outlive the process that counted."""

from django.db import models


class Counter(models.Model):
    """A named count, read by /metrics: what no other row remembers (claims lost, refused deliveries)."""

    name = models.TextField(primary_key=True)
    value = models.BigIntegerField(db_default=0)

    class Meta:
        db_table = "healthkit_counter"
        constraints = [
            models.CheckConstraint(condition=models.Q(value__gte=0), name="healthkit_counter_value"),
        ]

    def __str__(self) -> str:
        return self.name
