"""What the containers of one stack are made from: the resolved Compose files, the images, and the spec."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from harness.drivers.container.compose_model import (
    HELPERS,
    MIGRATE,
    Model,
    Mount,
    Replica,
    build_model,
    environment_of,
    resolve,
)
from harness.drivers.env_block import base_block, service_block
from harness.drivers.protocol import SERVICES, STORES, StackSpec
from harness.engine import labels
from harness.images.images import Images, ensure_pinned
from harness.lab_home import lab_home, make_readable

APP_PATH: Final = "/srv/app"
OVERLAY_PATH: Final = "/srv/overlay"
ADDRESSES: Final = ("DATABASE_URL", "REDIS_URL", "REMINDER_GATEWAY_URL")


class Blueprint:
    """Writes the stack's Compose file, again after every change."""

    def __init__(
        self, spec: StackSpec, *, name: str, directory: Path, images: Images, passwords: Mapping[str, str]
    ) -> None:
        """Resolves the files and makes the pinned images that the spec asks for; `directory` is the stack's own."""
        self.file = directory / "compose.json"
        self.images = images
        self.postgres_image = images.base.postgres
        self._spec = spec
        self._name = name
        self._base = {**base_block(), "BUILD_ID": images.build}
        self._resolved = with_readable_mounts(
            resolve({**images.as_env(), **passwords}), directory=directory / "compose"
        )
        self._app_images = {service: ensure_pinned(images.app, pins) for service, pins in spec.pins.items() if pins}
        self._mounts = _mounts(spec, directory=directory)

    def write(
        self,
        *,
        replicas: Sequence[tuple[str, str]],
        ports: Mapping[str, int],
        changes: Mapping[str, Mapping[str, str | None]],
    ) -> None:
        """The file for these replicas (name, service), loopback ports, and environments changed since the start."""
        model = build_model(
            self._resolved,
            name=self._name,
            labels=labels(self._name, home=lab_home()),
            replicas=[
                self._replica(name, service=service, port=ports.get(name), changes=changes.get(service, {}))
                for name, service in replicas
            ],
            migrate=self._migrate(),
            mounts=self._mounts,
            ports={each: ports[each] for each in (*STORES, *HELPERS)},
            postgres_image=self.postgres_image,
            stop_timeout_s=self._spec.stop_timeout_s,
        )
        self.file.write_text(json.dumps(model, indent=1), encoding="utf-8")
        self.file.chmod(0o600)

    def migrate_env(self) -> Mapping[str, str]:
        """The environment of the migrate step."""
        return self._migrate().env

    def _migrate(self) -> Replica:
        return self._replica(MIGRATE, service=MIGRATE, port=None, changes={})

    def _replica(self, name: str, *, service: str, port: int | None, changes: Mapping[str, str | None]) -> Replica:
        block = environment_of(self._resolved, service)
        addresses = {each: block[each] for each in ADDRESSES}
        env = service_block(
            service, spec=self._spec, base={**block, **self._base}, addresses=addresses, changes=changes
        )
        env["SERVICE_NAME"] = name
        if self._spec.overlay is not None:
            env["PYTHONPATH"] = f"{OVERLAY_PATH}:{APP_PATH}"
        return Replica(
            name=name,
            service=service,
            image=self._app_images.get(service, self.images.app),
            env=env,
            command=self._spec.commands.get(service) if service in SERVICES else None,
            port=port,
        )


def _mounts(spec: StackSpec, *, directory: Path) -> tuple[Mount, ...]:
    """The overlay, and the app that replaces the image's: as copies that the app's user may read."""
    wanted = ((spec.app_dir, APP_PATH), (spec.overlay, OVERLAY_PATH))
    return tuple(
        Mount(source=_readable_copy(source, directory / Path(target).name), target=target)
        for source, target in wanted
        if source is not None
    )


def _readable_copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)
    make_readable(target)
    return target


def with_readable_mounts(resolved: Model, *, directory: Path) -> Model:
    """The resolved files with copies in `directory` in the place of what they mount: the clone's own files may be the
    user's alone, and containers have users of their own.
    """
    changed = copy.deepcopy(resolved)
    for service in changed["services"].values():
        for mount in service.get("volumes", ()):
            if mount["type"] == "bind":
                source = Path(mount["source"])
                mount["source"] = str(directory / source.name)
                if not (directory / source.name).exists():
                    _readable_copy(source, directory / source.name)
    return changed
