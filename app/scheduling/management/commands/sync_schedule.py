"""`manage.py sync_schedule`: create the schedule entries that the app needs."""

from typing import Any

from django.core.management.base import BaseCommand

from backend.env import config
from scheduling.default_entries import entries_sync


class Command(BaseCommand):
    """Idempotent; entries that exist keep whatever was edited in the admin."""

    help = "create missing schedule entries"

    def handle(self, *args: Any, **options: Any) -> None:
        """Create what is missing."""
        entries_sync(config())
