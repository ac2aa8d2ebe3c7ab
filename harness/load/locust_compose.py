"""Locust in containers: a master and scaled workers from compose/locust.yml, as the crowd sees them."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final

from docker.models.containers import Container

from harness.clock import wait_for
from harness.drivers.container.leftovers import JOURNAL_KIND, undo_container_leftovers
from harness.drivers.leftovers import LAB_VARIABLE, Journal
from harness.engine import LAB_LABEL, connect, docker_env, labelled, require_engine
from harness.errors import LabError, WaitTimeout
from harness.images.build import Builder, announce, ca_bundle, content_hash
from harness.images.images import IMAGES, ensure_images
from harness.lab_home import PROJECT, lab_home
from harness.load.locust_processes import free_port
from harness.load.order import ORDER, LoadOrder

OVERLAY: Final = PROJECT / "compose" / "locust.yml"
SHARED: Final = PurePosixPath("/reports")
DOWN_S: Final = 90.0
TAIL: Final = 15


@dataclass(slots=True)
class LocustCompose:
    """Starts the overlay for an order, whose directory lies below `reports`. There is no web page."""

    order: LoadOrder
    directory: Path
    reports: Path
    web_port: int | None = None
    _name: str = field(default_factory=lambda: f"locust-{secrets.token_hex(3)}")
    _up: subprocess.Popen[bytes] | None = None
    _env: dict[str, str] = field(default_factory=dict)
    _journal: Journal | None = None

    def start(self) -> None:
        """Build the image if need be, and start them all. Raises: MissingCapability, DriverError."""
        require_engine()
        undo_container_leftovers(lab_home())
        self._journal = Journal(lab=self._name, home=lab_home())
        self._journal.note(JOURNAL_KIND, stack=self._name)
        self.directory.mkdir(parents=True, exist_ok=True)
        Path(self.order.directory).mkdir(parents=True, exist_ok=True)
        run = self.directory.parent.relative_to(self.reports)
        inside = SHARED / Path(self.order.directory).relative_to(self.reports)
        bundle = ca_bundle()
        self._env = {
            **docker_env(),
            ORDER: replace(self.order, directory=str(inside)).as_text(),
            LAB_VARIABLE: self._name,
            "LOCUST_NAME": self._name,
            "LOCUST_LAB": str(lab_home()),
            "LOCUST_IMAGE": locust_image(),
            "LOCUST_USER": f"{os.getuid()}:{os.getgid()}",
            "LOCUST_REPORTS": str(self.reports),
            "LOCUST_RUN": str(run),
            "LOCUST_PORT": str(free_port()),
            "LOCUST_WORKERS": str(self.order.processes),
            **({"CA_BUNDLE": str(bundle)} if bundle else {}),
        }
        with self._log().open("wb") as log:
            self._up = subprocess.Popen(
                self._compose("up", "--no-color", "--scale", f"locust-worker={self.order.processes}"),
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._journal.note_process(self._up.pid)

    @property
    def is_running(self) -> bool:
        """Whether any container of it lives; `up` ends with the last."""
        return self._up is not None and self._up.poll() is None

    def ended(self) -> tuple[str, ...]:
        """Each container that has ended, with its exit code and its last words."""
        gone = {**labelled(LAB_LABEL, self._name), "status": "exited"}
        return tuple(_end_of(each) for each in connect().containers.list(all=True, filters=gone, ignore_removed=True))

    def failed(self) -> tuple[str, ...]:
        """What Compose says when it did not end well; exit codes of Locust's own are not its."""
        if self._up is None or self._up.poll() in (None, 0):
            return ()
        tail = "\n".join(self._log().read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:])
        return (f"docker compose up ended with exit code {self._up.returncode}; its last words:\n{tail}",)

    def let_end(self) -> None:
        """Give Locust the time to write its figures when the run is over."""
        try:
            self._wait(timeout_s=self.order.request_timeout_s)
        except WaitTimeout:
            return  # `stop` ends it

    def stop(self) -> None:
        """End and remove all containers. Idempotent. Raises: LabError when Compose cannot."""
        if self._up is not None:
            self._down()
        if self._journal is not None:
            self._journal.close()

    def _down(self) -> None:
        down = subprocess.run(
            self._compose("down", "--volumes", "--timeout", f"{self.order.request_timeout_s:.0f}"),
            env=self._env,
            capture_output=True,
            text=True,
            timeout=DOWN_S,
        )
        if down.returncode != 0:
            raise LabError(f"Locust's containers could not be removed:\n{down.stderr[-2000:]}")
        self._wait(timeout_s=DOWN_S)

    def _wait(self, *, timeout_s: float) -> None:
        wait_for(lambda: not self.is_running, awaiting="Locust's containers", timeout_s=timeout_s, interval_s=0.2)

    def _compose(self, *words: str) -> Sequence[str]:
        return ["docker", "compose", "--file", str(OVERLAY), "--project-name", self._name, *words]

    def _log(self) -> Path:
        return self.directory / "compose.log"


def _end_of(container: Container) -> str:
    tail = container.logs(tail=TAIL).decode(errors="replace").rstrip() or "(none)"
    return f"{container.name} ended with exit code {container.attrs['State']['ExitCode']}; its last words:\n{tail}"


def locust_image() -> str:
    """Build Locust's image unless it is there. Raises: DriverError with the end of the build's output."""
    base = ensure_images().base
    folder = IMAGES / "locust"
    sources = [PROJECT / "harness", PROJECT / "locustfiles", folder / "requirements.lock", folder / "Dockerfile"]
    return Builder(connect(), say=announce).build(
        "chaos-lab/locust",
        tag=content_hash(sources, salt=[base.python]),
        dockerfile=folder / "Dockerfile",
        context=PROJECT,
        args={"PYTHON_IMAGE": base.python},
        why="Locust and its users (a minute the first time, then seconds)",
    )
