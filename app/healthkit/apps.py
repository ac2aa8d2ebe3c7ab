"""The Django app of health imports."""

from django.apps import AppConfig


class HealthkitConfig(AppConfig):
    """Batches, chunks, records, aggregates and anchors."""

    name = "healthkit"
    default_auto_field = "django.db.models.BigAutoField"
