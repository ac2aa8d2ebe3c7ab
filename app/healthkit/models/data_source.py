"""Who measured: a watch, a phone, a third party's app."""

from django.db import models


class SourceKind(models.TextChoices):
    """Kinds of source, best first."""

    WATCH = "watch"
    PHONE = "phone"
    THIRD_PARTY = "third_party"


class DataSource(models.Model):
    """A source of one user, as it was seen first; the lowest `precedence` wins an hour."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, db_index=False)
    identifier = models.TextField()
    name = models.TextField(blank=True)
    kind = models.TextField(choices=SourceKind.choices)
    precedence = models.IntegerField()

    class Meta:
        db_table = "healthkit_data_source"
        constraints = [
            models.UniqueConstraint(fields=["user", "identifier"], name="healthkit_data_source_identifier"),
            models.CheckConstraint(condition=models.Q(kind__in=SourceKind.values), name="healthkit_data_source_kind"),
            models.CheckConstraint(
                condition=models.Q(precedence__gte=1, precedence__lte=3), name="healthkit_data_source_precedence"
            ),
        ]

    def __str__(self) -> str:
        return self.identifier
