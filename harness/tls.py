"""What the lab's HTTP clients trust, loaded once."""

from __future__ import annotations

import functools
import ssl

import httpx


@functools.cache
def trusted() -> ssl.SSLContext:
    """For `verify`. Every client without it loads all authorities anew: 20 ms of a processor, for plain HTTP too."""
    return httpx.create_ssl_context()
