"""The Django app `reminders`."""

from django.apps import AppConfig


class RemindersConfig(AppConfig):
    """Reminders and their deliveries."""

    name = "reminders"
    default_auto_field = "django.db.models.BigAutoField"
