"""The Django app `scheduling`."""

from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    """Leases and ticks of beat."""

    name = "scheduling"
    default_auto_field = "django.db.models.BigAutoField"
