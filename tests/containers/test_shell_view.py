"""A container's processes through a shell in it: what is seen while it runs, and after it has ended."""

from __future__ import annotations

import docker
import pytest

from harness.drivers.container.processes import ShellView
from harness.images.images import ensure_images

pytestmark = pytest.mark.stack


def test_a_container_that_ends_meanwhile_has_no_processes(engine: docker.DockerClient) -> None:
    container = engine.containers.run(
        ensure_images().base.redis, ["sleep", "600"], entrypoint=[], detach=True, labels={"chaoslab": "test-shell-view"}
    )
    try:
        view = ShellView(container)
        assert [(each.pid, each.command) for each in view.members()] == [(1, "sleep 600")]
        container.kill()
        container.wait()
        assert view.members() == ()
    finally:
        container.remove(force=True, v=True)
    assert view.members() == ()
