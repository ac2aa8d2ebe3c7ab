"""Registration of the app with Django."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Accounts: users, devices, verification codes."""

    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"
