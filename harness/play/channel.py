"""How commands talk to the keeper: one JSON object in, JSON lines out, over a socket that only this user may open.

The answer is any number of {"note": text} and then one of {"done": object} or {"failed": text}.
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import LabError

Say = Callable[[str], None]
Handler = Callable[[Mapping[str, Any], Say], Mapping[str, Any]]


def ask(path: Path, request: Mapping[str, Any], *, say: Say, timeout_s: float) -> dict[str, Any]:
    """Send one request and follow its notes; `timeout_s` bounds the silence between two lines.

    Raises: LabError when nobody listens, the keeper says that it failed, or it goes silent.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("r", encoding="utf-8") as answer:
                for line in answer:
                    heard = json.loads(line)
                    if "note" in heard:
                        say(str(heard["note"]))
                    elif "failed" in heard:
                        raise LabError(str(heard["failed"]))
                    else:
                        return dict(heard["done"])
        except TimeoutError as error:
            raise LabError(f"the keeper said nothing for {timeout_s:.0f} s; its log may say why") from error
        except OSError as error:
            raise LabError(f"the keeper does not answer at {path}: {error}") from error
    raise LabError("the keeper ended in the middle of its answer; its log may say why")


@contextmanager
def serving(path: Path, handler: Handler) -> Iterator[None]:
    """Answer requests at `path` in threads until the block ends; what the handler raises as LabError is told."""

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            def tell(**line: object) -> None:
                self.wfile.write(json.dumps(line, default=str).encode() + b"\n")

            def say(text: str) -> None:
                tell(note=text)

            try:
                tell(done=handler(json.loads(self.rfile.readline()), say))
            except LabError as error:
                tell(failed=str(error))
            except Exception:  # noqa: BLE001  # thread top: the error is told to whoever asked
                tell(failed="the lab failed: " + traceback.format_exc())

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with Server(str(path), Answer) as server:
        path.chmod(0o600)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="channel")
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            path.unlink(missing_ok=True)
