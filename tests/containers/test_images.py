"""Images: named by content, and a registry that is not there is noticed quickly."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import docker
import pytest
from docker.errors import ImageNotFound

from harness.images import build, images
from harness.images.build import Builder, content_hash


def test_the_hash_follows_content_and_names_and_ignores_caches(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = content_hash([tmp_path], root=tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("cache")
    assert content_hash([tmp_path], root=tmp_path) == first
    assert content_hash([tmp_path], root=tmp_path, salt=["other base"]) != first
    (tmp_path / "a.py").write_text("2")
    second = content_hash([tmp_path], root=tmp_path)
    assert second != first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert content_hash([tmp_path], root=tmp_path) not in (first, second)


@dataclass
class Image:
    tags: list[str]
    attrs: dict[str, str]


@dataclass
class Engine:
    """An engine that holds images, by tag, with the date of their content."""

    held: dict[str, str] = field(default_factory=dict)

    @property
    def images(self) -> Engine:
        return self

    def get(self, tag: str) -> None:
        if tag not in self.held:
            raise ImageNotFound(tag)

    def list(self, *, name: str) -> list[Image]:
        return [Image([tag], {"Created": made_at}) for tag, made_at in self.held.items() if tag.startswith(name)]

    def remove(self, tag: str) -> None:
        del self.held[tag]


@dataclass
class BuilderDouble(Builder):
    """Builds nothing: all that it makes comes from the build's cache, with the date of its first build."""

    engine: Engine

    def __post_init__(self) -> None:
        super().__init__(cast(docker.DockerClient, self.engine), say=lambda _: None)

    def run(self, command: list[str], *, what: str) -> None:
        self.engine.held[command[command.index("--tag") + 1]] = "2001-01-01T00:00:00Z"

    def ask_for(self, tag: str, *, kept: int) -> None:
        self.build("lab/app", tag=tag, dockerfile=Path("D"), context=Path(), args={}, why="", kept=kept)


def test_the_images_that_were_used_last_are_kept_and_so_the_one_just_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "lab_home", lambda: tmp_path)
    engine = Engine({"lab/app:foreign": "2020-01-01T00:00:00.123456789Z"})
    builder = BuilderDouble(engine)
    for tag in ("d", "c", "b", "a"):
        builder.ask_for(tag, kept=9)
        for note in (tmp_path / "images-used").iterdir():  # A minute passes.
            os.utime(note, (note.stat().st_atime, note.stat().st_mtime - 60))
    builder.ask_for("d", kept=9)
    assert set(engine.held) == {"lab/app:foreign", "lab/app:a", "lab/app:b", "lab/app:c", "lab/app:d"}
    builder.ask_for("new", kept=3)
    assert set(engine.held) == {"lab/app:new", "lab/app:d", "lab/app:a"}


@pytest.mark.stack
def test_a_registry_that_is_not_there_is_noticed_and_named(engine: docker.DockerClient) -> None:
    began = time.monotonic()
    problem = images.pull_problem("127.0.0.1:9/nothing:none")
    assert problem is not None
    assert "127.0.0.1:9" in problem
    assert time.monotonic() - began < 2 * images.PROBE_TIMEOUT_S
