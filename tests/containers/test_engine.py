"""Which engine the `docker` command is sent to: the SDK's, whatever context the person has in use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from harness.drivers.container.compose_model import resolve
from harness.engine import DEFAULT_HOST
from harness.images.build import Builder
from harness.images.images import pull_problem

RECORDS_ITS_ENVIRONMENT = """#!/bin/sh
echo "${DOCKER_HOST:-none} ${DOCKER_CONTEXT:-none}" > "$HOME/told"
echo '{}'
"""


def build() -> None:
    Builder(MagicMock(), say=lambda _: None).run(["docker", "build"], what="a build")


def pull() -> None:
    pull_problem("nothing")


def read_files() -> None:
    resolve({})


@pytest.mark.parametrize("call", [build, pull, read_files])
@pytest.mark.parametrize("named", ["", "tcp://127.0.0.1:9"], ids=["no DOCKER_HOST", "DOCKER_HOST"])
def test_every_docker_command_is_told_the_engine_of_the_sdk(
    call: Callable[[], None], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(RECORDS_ITS_ENVIRONMENT)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", named)
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    call()
    assert (tmp_path / "told").read_text().split() == [named or DEFAULT_HOST, "none"]
