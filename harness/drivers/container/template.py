"""Postgres images in which the app's one-shot migrate has already run: a stack that has one migrates nothing."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from docker.models.containers import Container

from harness.drivers.env_block import PER_STACK, TEMPLATES_KEPT
from harness.drivers.protocol import StackSpec
from harness.engine import connect
from harness.images.build import HASH_LENGTH, Builder, Say, announce, content_hash
from harness.images.images import Images
from harness.lab_home import PROJECT

NAME: Final = "chaos-lab/postgres-migrated"
DATA: Final = "/var/lib/postgresql/data"
DOCKERFILE: Final = PROJECT / "compose" / "images" / "migrated" / "Dockerfile"
IRRELEVANT: Final = PER_STACK | {"BUILD_ID", "SERVICE_NAME", "OPERATOR_TOKEN"}


class PostgresTemplate:
    """The image for one app, overlay and environment of the migrate step; it may not exist yet."""

    def __init__(self, *, spec: StackSpec, images: Images, env: Mapping[str, str], say: Say = announce) -> None:
        """`env` is the migrate step's; the passwords are in the data directory, so they count too."""
        self._builder = Builder(connect(), say=say)
        self._plain = images.base.postgres
        facts = [images.build, self._plain, env["DATABASE_URL"].split("@")[0], env["POSTGRES_PASSWORD"]]
        facts += [content_hash([path], root=path) for path in (spec.app_dir, spec.overlay) if path is not None]
        facts += [f"{name}={value}" for name, value in sorted(env.items()) if name not in IRRELEVANT]
        self._tag = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:HASH_LENGTH]

    def image(self) -> str | None:
        """Its reference; None when it has not been made."""
        reference = f"{NAME}:{self._tag}"
        return reference if self._builder.has(reference) else None

    def make(self, stopped: Container, *, directory: Path) -> str:
        """Make it from a Postgres that was stopped in order after the migrate step; `directory` is for the archive."""
        chunks, _ = stopped.get_archive(DATA)
        directory.mkdir()
        with (directory / "data.tar").open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
        return self._builder.build(
            NAME,
            tag=self._tag,
            dockerfile=DOCKERFILE,
            context=directory,
            args={"POSTGRES_IMAGE": self._plain},
            why="the migrated database as an image, so that later starts need not migrate (seconds)",
            kept=TEMPLATES_KEPT,
        )


def database_passwords(home: Path) -> dict[str, str]:
    """The passwords of this checkout's databases, made once: they are in the data that the templates hold."""
    path = home / "passwords.json"
    if not path.exists():
        unborn = home / f"passwords.{secrets.token_hex(4)}"
        unborn.touch(mode=0o600)
        names = ("POSTGRES_PASSWORD", "APP_DB_PASSWORD")
        unborn.write_text(json.dumps({name: secrets.token_hex(12) for name in names}), encoding="utf-8")
        unborn.rename(path)
    passwords: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return passwords
