"""Images: named by content, and a registry that is not there is noticed quickly."""

from __future__ import annotations

import time
from pathlib import Path

import docker
import pytest

from harness import images
from harness.image_build import content_hash


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


@pytest.mark.stack
def test_a_registry_that_is_not_there_is_noticed_and_named(engine: docker.DockerClient) -> None:
    began = time.monotonic()
    problem = images.pull_problem("127.0.0.1:9/nothing:none")
    assert problem is not None
    assert "127.0.0.1:9" in problem
    assert time.monotonic() - began < 2 * images.PROBE_TIMEOUT_S
