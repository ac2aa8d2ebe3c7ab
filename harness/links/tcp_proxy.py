"""The lab's own TCP proxy: many listeners in one process, harmed over HTTP/JSON on loopback. Standard library only.

    python -m harness.links.tcp_proxy --control 127.0.0.1:8475 --link worker-redis=127.0.0.1:7001,127.0.0.1:6379

GET /links, GET /links/NAME               what is there: addresses, toxics, counters
PUT /links/NAME {"listen", "upstream"}    a new link (port 0: any free one); or, when it exists, a new upstream
DELETE /links/NAME                        close it
POST /links/NAME/toxics {"kind", …}       latency {latency_s, jitter_s}, bandwidth {bytes_per_s},
                                          slicer {size_bytes, delay_s}, black_hole, half_open, reset, refuse
DELETE /links/NAME/toxics                 heal
POST /links/NAME/round-trips {"message"}  sent to the link's own listener; how long the first answer took, as took_s

Latency, bandwidth and slicing act per connection and direction, and keep the order of bytes. A black hole holds what it
swallows, as a network does whose ends retransmit: after heal the streams go on, complete; nothing, not even a close,
passes before. A half-open connection is cut off for good: it is neither forwarded nor closed, also not by a later heal,
reset or refuse, and also when one of its ends goes away. What it cannot do: the kernel still acknowledges the TCP
keepalives of a silenced connection, so only timeouts of the application can notice it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import socket
import struct
import sys
from collections import deque
from typing import cast

HIGH_WATER_BYTES = 256 * 1024
REQUEST_TIMEOUT_S = 5.0
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger
KINDS: dict[str, set[str] | frozenset[str]] = {
    "latency": {"latency_s", "jitter_s"},
    "bandwidth": {"bytes_per_s"},
    "slicer": {"size_bytes", "delay_s"},
    **dict.fromkeys(("black_hole", "half_open", "reset", "refuse"), frozenset[str]()),
}


class Lane:
    """One direction of one connection: what came in waits here until the link's toxics let it out, in order."""

    def __init__(self, connection: Connection, counter: int) -> None:
        self.connection = connection
        self.counter = counter
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.is_sink_full = False
        self._queue: deque[tuple[float, memoryview]] = deque()
        self._queued_bytes, self._free_at = 0, 0.0
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, data: bytes) -> None:
        """Take in what the source sent; nothing at all when it has finished."""
        link, sink = self.connection.link, self._open_sink()
        if data and sink and not link.toxics and not self._queue and self._free_at <= link.loop.time():
            link.carried_bytes[self.counter] += len(data)
            sink.write(data)
            return
        self._queue.append((link.loop.time() + link.draw_latency_s(), memoryview(data)))
        self._queued_bytes += len(data)
        self.advance()

    def advance(self) -> None:
        """Let out whatever may go now, and come back when more may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        link = self.connection.link
        while self._queue and (sink := self._open_sink()) is not None:
            now = link.loop.time()
            due, data = self._queue[0]
            ready_at = max(due if "latency" in link.toxics else 0.0, self._free_at)
            if ready_at > now:
                self._timer = link.loop.call_at(ready_at, self.advance)
                break
            self._queue.popleft()
            if not data:
                self._finish()
                continue
            size = min(len(data), link.piece_bytes())
            if size < len(data):
                self._queue.appendleft((due, data[size:]))
            self._queued_bytes -= size
            link.carried_bytes[self.counter] += size
            self._free_at = max(self._free_at, now) + link.cost_s(size)
            sink.write(data[:size])
        self._throttle()

    def _open_sink(self) -> asyncio.Transport | None:
        """Where bytes may go, be it at once or later; None while nothing may."""
        return None if self.is_sink_full or self.connection.is_held else self.sink

    def _finish(self) -> None:
        if self.sink is not None and self.sink.can_write_eof() and not self.sink.is_closing():
            self.sink.write_eof()
        self.connection.finished(self)

    def _throttle(self) -> None:
        """Read on only while little is waiting; a source that is held is not even heard closing."""
        if self.source is None or self.source.is_closing():
            return
        if self._open_sink() is None or self._queued_bytes > HIGH_WATER_BYTES:
            self.source.pause_reading()
        else:
            self.source.resume_reading()


class End(asyncio.Protocol):
    """One of the two sockets of a connection: feeds the lane that leads away from it."""

    def __init__(self, connection: Connection, *, is_client: bool) -> None:
        self.connection = connection
        lanes = (connection.up, connection.down)
        self._outgoing, self._incoming = lanes if is_client else lanes[::-1]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        joined = cast(asyncio.Transport, transport)
        joined.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._outgoing.source = self._incoming.sink = joined
        if self._outgoing is self.connection.up:
            self.connection.open()
        if self.connection.is_over:  # The client went while the store was being reached.
            self.connection.reset()
        self.connection.advance()

    def data_received(self, data: bytes) -> None:
        self._outgoing.feed(data)

    def eof_received(self) -> bool:
        self._outgoing.feed(b"")
        return True  # Keep the other direction open, as TCP does.

    def pause_writing(self) -> None:
        self._incoming.is_sink_full = True
        self._incoming.advance()

    def resume_writing(self) -> None:
        self._incoming.is_sink_full = False
        self._incoming.advance()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.connection.is_silenced:
            self.connection.reset()


class Connection:
    """A client's socket, the store's, and a lane for each direction."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.is_silenced = self.is_over = False
        self.number = 0
        self.up, self.down = Lane(self, 0), Lane(self, 1)
        self._finished: set[Lane] = set()
        self._dial: asyncio.Task[None] | None = None

    @property
    def is_held(self) -> bool:
        """Nothing passes at the moment."""
        return self.is_silenced or self.is_over or "black_hole" in self.link.toxics

    def open(self) -> None:
        """The client is there."""
        self.link.connections.add(self)
        self.link.opened += 1
        self.number = self.link.opened

    async def _connect(self) -> None:
        try:
            await self.link.loop.create_connection(lambda: End(self, is_client=False), *self.link.upstream)
        except OSError:
            if not self.is_silenced:
                self.reset()

    def advance(self) -> None:
        """Something has changed: reach for the store if that is due, and let out what may go."""
        if self._dial is None and not self.is_held:
            self._dial = self.link.loop.create_task(self._connect())
        self.up.advance()
        self.down.advance()

    def silence(self) -> None:
        """Half-open from now on, for good."""
        self.is_silenced = True
        self.link.connections.discard(self)
        self.link.silenced.add(self)
        self.advance()

    def finished(self, lane: Lane) -> None:
        """One direction has been delivered to its end; after both, the sockets can go."""
        self._finished.add(lane)
        if len(self._finished) == 2:
            for transport in self._transports():
                transport.close()

    def reset(self) -> None:
        """Reset both sockets, whatever was under way."""
        self.is_over = True
        self.link.connections.discard(self)
        for transport in self._transports():
            if not transport.is_closing():
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                transport.abort()

    def _transports(self) -> list[asyncio.Transport]:
        return [transport for transport in (self.up.source, self.down.source) if transport is not None]


class Link:
    """One listener and its upstream."""

    def __init__(self, name: str, *, upstream: tuple[str, int], dice: random.Random) -> None:
        self.name = name
        self.upstream = upstream
        self.loop = asyncio.get_running_loop()
        self.toxics: dict[str, dict[str, float]] = {}
        self.connections: set[Connection] = set()
        self.silenced: set[Connection] = set()
        self.opened = 0
        self.address = ("", 0)
        self._dice = dice
        self.carried_bytes = [0, 0]
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = None

    async def accept(self, bound: socket.socket) -> None:
        """Accept connections on a bound socket."""
        self._socket = bound
        self.address = bound.getsockname()[:2]
        self._server = await self.loop.create_server(
            lambda: End(Connection(self), is_client=True), sock=bound, backlog=1024
        )

    def value(self, kind: str, name: str, default: float = 0.0) -> float:
        """A parameter of a toxic, `default` while there is no such toxic."""
        return self.toxics.get(kind, {}).get(name, default)

    def draw_latency_s(self) -> float:
        """The delay of the next bytes, in seconds."""
        jitter_s = self.value("latency", "jitter_s")
        return max(0.0, self.value("latency", "latency_s") + self._dice.uniform(-jitter_s, jitter_s))

    def piece_bytes(self) -> int:
        """The most that may go out at once: a slice, or a tenth of a second's worth of the bandwidth."""
        slice_bytes = self.value("slicer", "size_bytes", sys.maxsize)
        return max(1, int(min(slice_bytes, self.value("bandwidth", "bytes_per_s", sys.maxsize) / 10)))

    def cost_s(self, size_bytes: int) -> float:
        """How long the lane is busy with that many bytes, in seconds."""
        return self.value("slicer", "delay_s") + size_bytes / self.value("bandwidth", "bytes_per_s", math.inf)

    def harm(self, kind: str, values: dict[str, float]) -> None:
        """Add a toxic; one of the same kind is replaced. Half-open and reset happen once and leave no toxic."""
        if kind not in ("half_open", "reset"):
            self.toxics[kind] = values
        if kind == "refuse":
            self._refuse()
        for connection in tuple(self.connections):
            if kind == "half_open":
                connection.silence()
            elif kind == "reset":
                connection.reset()
            connection.advance()

    async def heal(self) -> None:
        """Remove every toxic."""
        was_refusing = self.toxics.pop("refuse", None) is not None
        self.toxics.clear()
        if was_refusing and self._socket is not None:
            await self.accept(self._socket)
        for connection in tuple(self.connections):
            connection.advance()

    def _refuse(self) -> None:
        """Close the listener but keep its address: a socket that is bound and does not listen refuses."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._socket = bind(self.address)
        for connection in tuple(self.connections):
            connection.reset()

    async def round_trip_s(self, message: bytes) -> float:
        """From sending a message on a new connection to the first byte that comes back, in seconds."""
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            begun = self.loop.time()
            writer.write(message)
            if not await reader.read(1):
                raise ConnectionResetError(f"{self.name} gave no answer")
            return self.loop.time() - begun
        finally:
            writer.close()

    def close(self) -> None:
        """Stop listening and reset everything, silenced connections too."""
        self._refuse()
        if self._socket is not None:
            self._socket.close()
        for connection in self.silenced:
            connection.reset()

    def describe(self) -> dict[str, object]:
        """What GET answers."""
        return {
            "name": self.name,
            "listen": f"{self.address[0]}:{self.address[1]}",
            "upstream": f"{self.upstream[0]}:{self.upstream[1]}",
            "toxics": self.toxics,
            "up_bytes": self.carried_bytes[0],
            "down_bytes": self.carried_bytes[1],
            "opened": self.opened,
            "open": len(self.connections),
            "silenced": len(self.silenced),
            "oldest": min((connection.number for connection in self.connections), default=None),
        }


def bind(address: tuple[str, int]) -> socket.socket:
    """A bound socket that does not listen yet: connecting to it is refused. Raises: OSError when it is taken."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(address)
    return bound


def parse_address(text: str) -> tuple[str, int]:
    """`host:port`."""
    host, _, port = text.rpartition(":")
    return host, int(port)


class Control:
    """The HTTP side: all links of this process."""

    def __init__(self, *, seed: int) -> None:
        self._dice = random.Random(seed)
        self._links: dict[str, Link] = {}

    async def put(self, name: str, *, listen: str, upstream: str) -> None:
        """A new link, or a new upstream for the connections to come of an old one."""
        link = self._links.get(name)
        if link is None:
            link = Link(name, upstream=parse_address(upstream), dice=self._dice)
            await link.accept(bind(parse_address(listen)))
            self._links[name] = link
        link.upstream = parse_address(upstream)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer, one connection."""
        try:
            status, answer = await asyncio.wait_for(self._answer(reader), REQUEST_TIMEOUT_S)
        except (OSError, ValueError, KeyError, TimeoutError, asyncio.IncompleteReadError) as error:
            status, answer = 400, {"error": f"{type(error).__name__}: {error}"}
        body = json.dumps(answer).encode()
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, object]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        body = json.loads(await reader.readexactly(int(fields.get("content-length", 0))) or b"{}")
        verb, path = head[0].split(" ")[:2]
        match verb, path.strip("/").split("/"):
            case "GET", ["links"]:
                return 200, [link.describe() for link in self._links.values()]
            case "PUT", ["links", name]:
                await self.put(name, **body)
            case _, ["links", name, *_] if name not in self._links:
                return 404, {"error": f"no link {name!r}; there are {sorted(self._links)}"}
            case "DELETE", ["links", name]:
                self._links.pop(name).close()
                return 200, {}
            case "POST", ["links", name, "toxics"]:
                kind, values = str(body.pop("kind")), {key: float(value) for key, value in body.items()}
                if set(body) != KINDS[kind] or min(values.values(), default=0) < 0 or values.get("bytes_per_s") == 0:
                    raise ValueError(f"{kind} takes {sorted(KINDS[kind])}, none negative; not {body}")
                self._links[name].harm(kind, values)
            case "POST", ["links", name, "round-trips"]:
                return 200, {"took_s": await self._links[name].round_trip_s(str(body["message"]).encode())}
            case "DELETE", ["links", name, "toxics"]:
                await self._links[name].heal()
            case "GET", ["links", name]:
                pass
            case _:
                return 405, {"error": f"cannot {verb} {path}"}
        return 200, self._links[name].describe()


async def run(*, control: str, links: list[str], seed: int) -> None:
    """Serve until the process is ended. Prints the control address as one JSON line."""
    door = Control(seed=seed)
    for text in links:
        name, _, addresses = text.partition("=")
        listen, _, upstream = addresses.partition(",")
        await door.put(name, listen=listen, upstream=upstream)
    server = await asyncio.start_server(door.serve, *parse_address(control))
    print(json.dumps({"control": "{}:{}".format(*server.sockets[0].getsockname())}), flush=True)
    await server.serve_forever()


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="TCP proxy with toxics")
    parser.add_argument("--control", default="127.0.0.1:8475", metavar="HOST:PORT")
    parser.add_argument("--link", dest="links", action="append", default=[], metavar="NAME=LISTEN,UPSTREAM")
    parser.add_argument("--seed", type=int, default=0, help="of the jitter")
    asyncio.run(run(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
