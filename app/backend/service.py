"""Which service this process belongs to, and which replica of it."""

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import PurePath


class Service(StrEnum):
    """The commands that the one image can run as."""

    API = "api"
    WORKER = "worker"
    BEAT = "beat"
    MIGRATE = "migrate"


def service_of(argv: Sequence[str]) -> Service:
    """Tell the service from a command line; anything that is not one of the three long-running ones is `migrate`.

    The image is the same for all, only the command differs, so the command is what decides: a variable could be
    copied into the wrong task definition, the command cannot.
    """
    program = PurePath(argv[0]) if argv else PurePath()
    names = {program.name, program.parent.name}
    if "gunicorn" in names:
        return Service.API
    if "celery" in names:
        if "worker" in argv[1:]:
            return Service.WORKER
        if "beat" in argv[1:]:
            return Service.BEAT
    return Service.MIGRATE


def current_service() -> Service:
    """The service of this process; a pool child has its parent's command line, so it answers the same."""
    return service_of(sys.argv)


def replica_name(environ: Mapping[str, str]) -> str:
    """The replica's name: SERVICE_NAME where it is set, else the host's (a container's id)."""
    return environ.get("SERVICE_NAME", "").strip() or socket.gethostname()


def current_replica() -> str:
    """`replica_name` of this process."""
    return replica_name(os.environ)
