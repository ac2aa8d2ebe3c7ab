"""The admin as it is served in production: its pages and what makes them usable, without a step that collects files."""

import re
from contextlib import closing

import pytest
from django.conf import settings
from django.test import Client

ASSET = re.compile(r'(?:href|src)="(/static/[^"]+)"')


@pytest.mark.usefixtures("stores")
def test_the_login_page_has_its_styles_and_scripts() -> None:
    assert not settings.DEBUG
    client = Client()
    page = client.get("/admin/login/")
    assert page.status_code == 200
    assets = ASSET.findall(page.content.decode())
    assert {each.rpartition(".")[2] for each in assets} == {"css", "js"}
    assert {each: _size(client, each) > 100 for each in assets} == dict.fromkeys(assets, True)


def test_a_file_that_is_not_there_is_answered_by_a_code() -> None:
    answer = Client().get("/static/admin/../../../settings.py")
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (404, "NOT_FOUND")


def _size(client: Client, path: str) -> int:
    """Bytes of a file that is answered with 200; 0 for any other answer."""
    with closing(client.get(path)) as answer:
        return len(answer.getvalue()) if answer.status_code == 200 else 0
