"""A replica's own health check, asked of a container that may be gone by then."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

import pytest
import requests
from docker.errors import APIError
from docker.models.containers import Container

from harness.drivers.container.replica import passes_own_check


class Asked:
    """A container whose engine gives this answer to an exec."""

    attrs = {"Config": {"Healthcheck": {"Test": ["CMD", "true"]}}}

    def __init__(self, answer: APIError | int) -> None:
        self._answer = answer

    def exec_run(self, _: list[str]) -> tuple[int, bytes]:
        if isinstance(self._answer, APIError):
            raise self._answer
        return self._answer, b""


def refused(status: HTTPStatus, explanation: str) -> APIError:
    response = requests.Response()
    response.status_code = status
    return APIError("refused", response=response, explanation=explanation)


ANSWERS: dict[str, tuple[APIError | int, bool]] = {
    "passes": (0, True),
    "fails": (1, False),
    "has ended": (refused(HTTPStatus.CONFLICT, "Container c is not running"), False),
    "ends between the making of the exec and its start": (
        refused(HTTPStatus.INTERNAL_SERVER_ERROR, "Container c is not running: Exited (78) Less than a second ago"),
        False,
    ),
}


@pytest.mark.parametrize("case", list(ANSWERS))
def test_what_the_engine_answers(case: str) -> None:
    answer, is_fit = ANSWERS[case]
    assert passes_own_check(cast(Container, Asked(answer))) is is_fit


def test_an_engine_in_trouble_says_nothing_of_the_replica() -> None:
    with pytest.raises(APIError):
        passes_own_check(cast(Container, Asked(refused(HTTPStatus.INTERNAL_SERVER_ERROR, "no space left on device"))))
