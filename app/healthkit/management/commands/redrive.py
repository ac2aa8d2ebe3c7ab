"""`manage.py redrive KIND TARGET`: put a batch, a chunk or a dead letter back."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from healthkit.models.redrive import RedriveKind
from healthkit.redriving import TargetNotFound, redrive


class Command(BaseCommand):
    """The operators' command line; the same service as the API's mutation."""

    help = "put a batch, a chunk or a dead letter back; idempotent, leaves an audit row"

    def add_arguments(self, parser: CommandParser) -> None:
        """KIND TARGET [--actor NAME]."""
        parser.add_argument("kind", choices=[kind.value for kind in RedriveKind])
        parser.add_argument("target", help="id of the batch, chunk (or <batch id>:<index>) or dead letter")
        parser.add_argument("--actor", default=getpass.getuser(), help="who asks for it, for the audit row")

    def handle(self, *args: Any, **options: Any) -> None:
        """Redrive and say how much was put back."""
        kind = RedriveKind(options["kind"])
        try:
            count = redrive(kind=kind, target=options["target"], actor=options["actor"])
        except TargetNotFound as missing:
            raise CommandError(f"no such {kind.label.lower()}: {missing}") from missing
        self.stdout.write(f"{count} put back")
