"""Building one image: named after the content it is made of, so that it is built when that changed and only then."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import docker
from docker.errors import APIError, ImageNotFound

from harness.engine import docker_env
from harness.errors import DriverError
from harness.lab_home import PROJECT, lab_home

Say = Callable[[str], None]
BUILD_TIMEOUT_S = 1200.0
HASH_LENGTH = 12
KEPT_PER_NAME = 5
CONFLICT = 409
TAIL_LINES = 30


def announce(message: str) -> None:
    """The default way to say something: one line on the console, at once."""
    print(f"[images] {message}", flush=True)


def content_hash(paths: Iterable[Path], *, root: Path = PROJECT, salt: Iterable[str] = ()) -> str:
    """A short hash of the files (below directories: all but caches), their paths below `root`, and some texts."""
    digest = hashlib.sha256()
    for text in salt:
        digest.update(text.encode() + b"\0")
    for file in sorted(_files(paths)):
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:HASH_LENGTH]


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (
                each
                for each in path.rglob("*")
                if each.is_file() and "__pycache__" not in each.parts and each.suffix != ".pyc"
            )
        else:
            yield path


def ca_bundle() -> Path | None:
    """The CA bundle that this machine's tools are told to trust; None where they use their own."""
    named = os.environ.get("SSL_CERT_FILE", "")
    return Path(named) if named and Path(named).is_file() else None


@contextmanager
def builders_lock() -> Iterator[None]:
    """One builder at a time: labs side by side build an image once."""
    with (lab_home() / "images.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Builder:
    """Builds images that are not there yet."""

    def __init__(self, client: docker.DockerClient, *, say: Say = announce) -> None:
        self.client = client
        self.say = say

    def has(self, image: str) -> bool:
        """Whether the engine holds this image; to ask is to use it."""
        try:
            self.client.images.get(image)
        except ImageNotFound:
            return False
        _use_note(image).touch()
        return True

    def build(
        self,
        name: str,
        *,
        tag: str,
        dockerfile: Path,
        context: Path,
        args: Mapping[str, str],
        why: str,
        kept: int = KEPT_PER_NAME,
    ) -> str:
        """Build `name:tag` unless it is there; returns the reference. `why` is said when it is not.

        Of this name, the `kept` used last stay.

        Raises: DriverError with the end of the build's output.
        """
        image = f"{name}:{tag}"
        with builders_lock():
            if self.has(image):
                return image
            self.say(f"building {image}: {why}")
            bundle = ca_bundle()
            command = ["docker", "build", "--progress=plain", "--load", "--tag", image, "--file", str(dockerfile)]
            for key, value in args.items():
                command += ["--build-arg", f"{key}={value}"]
            if bundle is not None:
                command += ["--secret", f"id=ca,src={bundle}"]
            self.run([*command, str(context)], what=f"build of {image}")
            _use_note(image).touch()
            self._forget_old(name, kept=kept)
        return image

    def run(self, command: list[str], *, what: str) -> None:
        """Run one command to its end, saying how long it took. Raises: DriverError with the end of its output."""
        began = time.monotonic()
        environment = {**docker_env(), "DOCKER_BUILDKIT": "1"}
        try:
            ended = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=BUILD_TIMEOUT_S,
                env=environment,
            )
        except subprocess.TimeoutExpired as error:
            raise DriverError(f"{what} took longer than {BUILD_TIMEOUT_S:.0f} s") from error
        if ended.returncode != 0:
            tail = "\n".join(ended.stdout.splitlines()[-TAIL_LINES:])
            raise DriverError(f"{what} failed with exit {ended.returncode}; its last lines:\n{tail}")
        self.say(f"{what}: done in {time.monotonic() - began:.0f} s")

    def _forget_old(self, name: str, *, kept: int) -> None:
        """Remove all but the few of one name that were used last; what a container uses stays."""
        made = {
            tag: str(image.attrs["Created"])
            for image in self.client.images.list(name=name)
            for tag in image.tags
            if tag.startswith(f"{name}:")
        }
        for tag in sorted(made, key=lambda tag: _last_used_s(tag, made_at=made[tag]), reverse=True)[kept:]:
            try:
                self.client.images.remove(tag)
            except APIError as error:
                if error.status_code != CONFLICT:  # A container of another lab still uses it.
                    raise
            _use_note(tag).unlink(missing_ok=True)


def _use_note(image: str) -> Path:
    """A file whose time is when this clone's labs last asked for an image: the engine keeps no such note."""
    notes = lab_home() / "images-used"
    notes.mkdir(exist_ok=True)
    return notes / image.replace("/", "+")


def _last_used_s(image: str, *, made_at: str) -> float:
    """As this clone has noted it; for what another clone has built, when its content was made."""
    note = _use_note(image)
    return note.stat().st_mtime if note.exists() else datetime.fromisoformat(made_at).timestamp()
