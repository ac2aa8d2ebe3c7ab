"""The Docker engine."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from harness.engine import connect


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The engine's API."""
    client = connect()
    try:
        yield client
    finally:
        client.close()
