"""The stack as a person gets it, and what the lab's overlay makes of it; read as Compose resolves them."""

from __future__ import annotations

from typing import Any

import docker
import pytest

from harness.drivers.container.compose_model import FILES, FOLDER, HELPERS, resolve
from harness.drivers.protocol import STORES

pytestmark = [pytest.mark.stack, pytest.mark.needs("engine")]

APP = ("api-1", "api-2", "worker-1", "worker-2", "beat-1")
LIMITS = {
    "api-1": (0.5, 1024),
    "api-2": (0.5, 1024),
    "worker-1": (1.0, 2048),
    "worker-2": (1.0, 2048),
    "beat-1": (0.25, 512),
}
Services = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def stack(engine: docker.DockerClient) -> Services:
    """compose/stack.yml alone."""
    services: Services = resolve({}, files=FILES[:1])["services"]
    return services


@pytest.fixture(scope="module")
def lab(engine: docker.DockerClient) -> Services:
    """With the lab's overlay."""
    services: Services = resolve({})["services"]
    return services


def test_the_project_has_a_name_of_its_own(engine: docker.DockerClient) -> None:
    assert resolve({}, files=FILES[:1])["name"] == "chaos-lab"


def test_the_stack_is_what_the_architecture_says(stack: Services) -> None:
    assert set(stack) == {*APP, *STORES, "migrate"}


def test_all_services_share_one_image_and_one_environment_block(stack: Services) -> None:
    blocks = [stack[name]["environment"] for name in (*APP, "migrate")]
    assert blocks == [blocks[0]] * len(blocks)
    assert len({stack[name]["image"] for name in (*APP, "migrate")}) == 1


@pytest.mark.parametrize("name", [*APP, *STORES])
def test_every_service_has_a_health_check_and_comes_back(stack: Services, name: str) -> None:
    assert stack[name]["healthcheck"]["test"][0] == "CMD"
    assert stack[name]["restart"] == "unless-stopped"
    assert stack[name]["stop_grace_period"] == "2m0s"


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_limits_are_the_ones_of_the_task_definitions(stack: Services, name: str) -> None:
    limits = stack[name]["deploy"]["resources"]["limits"]
    assert (float(limits["cpus"]), int(limits["memory"]) // 2**20) == LIMITS[name]


@pytest.mark.parametrize("which", ["stack", "lab"])
def test_nothing_is_published_beyond_loopback(request: pytest.FixtureRequest, which: str) -> None:
    services: Services = request.getfixturevalue(which)
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_commands_are_in_exec_form(stack: Services) -> None:
    first_words = {name: stack[name]["command"][0] for name in APP}
    assert set(first_words.values()) == {"gunicorn", "celery"}


def test_nothing_of_the_lab_restarts_by_itself(lab: Services) -> None:
    assert {name: service["restart"] for name, service in lab.items()} == dict.fromkeys(lab, "no")


def test_every_service_reaches_every_store_through_a_listener_of_its_own(lab: Services) -> None:
    def address(name: str, variable: str) -> str:
        return str(lab[name]["environment"][variable]).rpartition("@")[2].rpartition("//")[2].partition("/")[0]

    addresses = {
        (name, variable): address(name, variable)
        for name in ("api-1", "worker-1", "beat-1")
        for variable in ("REDIS_URL", "DATABASE_URL")
    }
    assert len(set(addresses.values())) == 6
    assert {each.partition(":")[0] for each in addresses.values()} == {"tcp-proxy"}
    assert set(HELPERS) <= set(lab)


def test_second_beat_differs_from_the_first_in_its_name_alone(engine: docker.DockerClient) -> None:
    services = resolve({}, files=(FILES[0], FOLDER / "second-beat.yml"))["services"]
    first, second = dict(services["beat-1"]), dict(services["beat-2"])
    assert (first.pop("hostname"), second.pop("hostname")) == ("beat-1", "beat-2")
    assert first == second
