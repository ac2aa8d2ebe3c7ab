"""The client's address is the first one of the header."""

from __future__ import annotations

from typing import Any


def _count_first(context: Any) -> None:
    last = context.client_address

    def client_address(request: Any) -> str:
        return str(request.headers.get("X-Forwarded-For", "").partition(",")[0].strip() or last(request))

    context.client_address = client_address


PATCHES = {"backend.context": _count_first}
