#!/usr/bin/env python
"""Django's command line; `migrate_stack` is the one-shot step before the services and before each deploy."""

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    """Run the command in `sys.argv`."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
