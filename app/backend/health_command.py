"""What the health commands of worker and beat have in common; boots neither Django nor Celery."""

import os
import sys
from collections.abc import Callable

from backend.env import Config, ConfigRefused, load
from backend.service import Service


def health_command(service: Service, problem_of: Callable[[Config], str | None]) -> int:
    """Say what is wrong with the replica, or `fit`; the exit status is 1 or 0."""
    try:
        problem = problem_of(load(os.environ, service))
    except ConfigRefused as refusal:
        problem = str(refusal)
    sys.stdout.write(f"{problem or 'fit'}\n")
    return 0 if problem is None else 1
