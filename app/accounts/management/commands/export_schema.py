"""`python manage.py export_schema`: write the GraphQL schema to schema.graphql, which is committed."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

SDL_PATH = Path(settings.BASE_DIR) / "schema.graphql"


class Command(BaseCommand):
    """A test compares the file with the code; this is how it is brought up to date."""

    help = "Write the GraphQL schema to schema.graphql."

    def handle(self, *args: Any, **options: Any) -> None:
        """Overwrite the file."""
        from backend.schema import schema  # strawberry: only when it is needed

        SDL_PATH.write_text(f"{schema.as_str()}\n", encoding="utf-8")
        self.stdout.write(f"wrote {SDL_PATH.name}")
