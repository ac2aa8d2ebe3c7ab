"""How each process of a stack that is no store is started: command, environment, directory, log."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.drivers.env_block import base_block, service_block
from harness.drivers.leftovers import LAB_VARIABLE
from harness.drivers.process.environments import Environment, own_environment, pinned_environment
from harness.drivers.process.group import Launch
from harness.drivers.process.port_book import PortBook
from harness.drivers.protocol import SERVICES, StackSpec
from harness.lab_home import PROJECT

RECEIVER = PROJECT / "harness" / "receiver.py"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "api": ("gunicorn", "backend.wsgi"),
    "worker": ("celery", "-A", "backend", "worker", "-c", "4", "-Q", "default,high"),
    "beat": ("celery", "-A", "backend", "beat"),
}


def helper_env(lab: str) -> dict[str, str]:
    """For what is not the app: its mark, and nothing else of the shell's environment."""
    return {LAB_VARIABLE: lab, "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@dataclass(slots=True)
class Launches:
    """The recipes of one stack. The services see the block and what a container would have, not the shell's."""

    lab: str
    spec: StackSpec
    home: Path
    lair: Path
    logs: Path
    ports: PortBook
    _base: dict[str, str] = field(default_factory=base_block, init=False)
    _changes: dict[str, dict[str, str | None]] = field(
        default_factory=lambda: {service: {} for service in SERVICES}, init=False
    )

    @property
    def sources(self) -> tuple[Path, ...]:
        """Directories that hold what the app imports, first one first."""
        app = self.spec.app_dir or PROJECT / "app"
        return (app,) if self.spec.overlay is None else (self.spec.overlay, app)

    def change_env(self, service: str, changes: Mapping[str, str | None]) -> None:
        """From the service's next start on; None removes a variable."""
        self._changes[service].update(changes)

    def restore_env(self, service: str) -> None:
        """Forget every change."""
        self._changes[service].clear()

    def environment(self, service: str) -> Environment:
        """Where the service's packages are. Raises: DriverError when its pins cannot be installed."""
        pins = self.spec.pins.get(service, ())
        return pinned_environment(pins, home=self.home) if pins else own_environment()

    def env(self, service: str, *, name: str, addresses: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of one replica."""
        reminders = {"REMINDER_GATEWAY_URL": f"http://{self.ports.address('receiver')}/send"}
        block = service_block(
            service,
            spec=self.spec,
            base=self._base,
            addresses={**reminders, **addresses},
            changes=self._changes.get(service, {}),
        )
        directory = self.lair / name
        return {
            **helper_env(self.lab),
            "PATH": os.pathsep.join((str(self.environment(service).binaries), os.environ.get("PATH", os.defpath))),
            "PYTHONPATH": os.pathsep.join(str(path.resolve()) for path in self.sources),
            "PYTHONUNBUFFERED": "1",
            "HOME": str(directory),
            "TMPDIR": str(directory / "tmp"),
            "HEARTBEAT_DIR": str(directory / "tmp"),
            "SERVICE_NAME": name,
            **({"BIND": self.ports.address(name)} if service == "api" else {}),
            **block,
        }

    def service(self, service: str, *, name: str, addresses: Mapping[str, str]) -> Launch:
        """One replica of api, worker or beat."""
        command = self.spec.commands.get(service, COMMANDS[service])
        return self._launch(command, name=name, env=self.env(service, name=name, addresses=addresses))

    def has_begun(self, name: str) -> bool:
        """Whether the replica has written its first heartbeat: before that a health command can only cost time."""
        return any((self.lair / name / "tmp").iterdir())

    def migrate(self, addresses: Mapping[str, str]) -> Launch:
        """The one-shot migrate."""
        command = ("python", str(self.sources[-1] / "manage.py"), "migrate_stack")
        return self._launch(command, name="migrate", env=self.env("migrate", name="migrate", addresses=addresses))

    def receiver(self) -> Launch:
        """The reminder receiver."""
        command = (sys.executable, "-I", str(RECEIVER), "--listen", self.ports.address("receiver"))
        return self._launch(command, name="receiver", env=helper_env(self.lab))

    def _launch(self, command: tuple[str, ...], *, name: str, env: Mapping[str, str]) -> Launch:
        directory = self.lair / name
        shutil.rmtree(
            directory / "tmp", ignore_errors=True
        )  # Else the last incarnation's heartbeat speaks for this one.
        (directory / "tmp").mkdir(parents=True)
        settings = directory / "gunicorn.conf.py"  # gunicorn looks for it in its working directory.
        if not settings.is_symlink():
            settings.symlink_to((self.sources[-1] / "gunicorn.conf.py").resolve())
        return Launch(command=command, env=env, directory=directory, log=self.logs / f"{name}.log")
