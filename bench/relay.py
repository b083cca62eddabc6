"""A thin wire, put before a server: it delays, limits the rate and counts the bytes, both ways.

A process of its own, so that whoever measures does not slow it down. Each direction is a lane: what comes in waits
until the bytes before it have left (the rate), and then as long as half a round trip takes. Opening a connection costs
a round trip too, as it does on a real line. What it does not have: loss, and TCP's slow start.

`python -m bench.relay --to HOST:PORT --round-trip-ms 50 --mbit 50` says its port as a line of JSON. For each line on
standard input it says what it has counted since the last one; the end of standard input is its own end.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import time
from dataclasses import dataclass, field

_PIECE = 16 * 1024  # bytes: less than 3 ms of 50 Mbit/s, so that one connection does not hold another up
_WINDOW = 64 * 1024  # bytes that the kernel takes from a sender before it has to wait for us
_QUEUED_S = 0.1  # so much may stand before the wire, as in a router; then the sender waits


@dataclass
class Lane:
    """One direction, shared by all connections. `rate` is in bytes a second; 0: no limit."""

    delay_s: float
    rate: float
    count: int = 0
    free_at: float = 0.0

    def due(self, size: int) -> float:
        """When the last of these bytes arrives."""
        self.count += size
        now = time.monotonic()
        self.free_at = max(now, self.free_at) + (size / self.rate if self.rate else 0.0)
        return self.free_at + self.delay_s

    @property
    def too_full_s(self) -> float:
        return self.free_at - time.monotonic() - _QUEUED_S


@dataclass
class Relay:
    """Passes each connection to `host:port` on, as over a wire with this round trip and rate."""

    host: str
    port: int
    round_trip_s: float = 0.0
    rate: float = 0.0
    connections: int = 0
    up: Lane = field(init=False)
    down: Lane = field(init=False)

    def __post_init__(self) -> None:
        self.up = Lane(self.round_trip_s / 2, self.rate)
        self.down = Lane(self.round_trip_s / 2, self.rate)

    async def listen(self) -> asyncio.Server:
        door = socket.create_server(("127.0.0.1", 0))
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
        return await asyncio.start_server(self._serve, sock=door, limit=_WINDOW)

    def counted(self) -> dict[str, int]:
        """Since it was asked last."""
        told = {"up": self.up.count, "down": self.down.count, "connections": self.connections}
        self.up.count = self.down.count = self.connections = 0
        return told

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await asyncio.sleep(self.round_trip_s)  # its connect() has come back
        there: asyncio.StreamWriter | None = None
        with contextlib.suppress(OSError, asyncio.CancelledError):  # the relay itself ends
            queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
            taking = asyncio.create_task(_take(reader, self.up, queue))
            await asyncio.sleep(self.round_trip_s / 2)  # the server's accept() has, too
            from_there, there = await asyncio.open_connection(self.host, self.port, limit=_WINDOW)
            _at_once(there)
            _at_once(writer)
            back: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
            ways = (_give(queue, there), _take(from_there, self.down, back), _give(back, writer))
            await asyncio.gather(taking, *ways, return_exceptions=True)
        for end in (writer, there):
            if end is not None:
                end.close()


async def _take(reader: asyncio.StreamReader, lane: Lane, queue: "asyncio.Queue[tuple[float, bytes]]") -> None:
    """Read at once what comes, unless the lane is full; when it arrives is a matter of the queue."""
    data = b"-"
    while data:
        try:
            data = await reader.read(_PIECE)
        except OSError:
            data = b""
        queue.put_nowait((lane.due(len(data)), data))
        if lane.too_full_s > 0:
            await asyncio.sleep(lane.too_full_s)


async def _give(queue: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
    while True:
        due, data = await queue.get()
        await asyncio.sleep(due - time.monotonic())
        if not data:
            break
        with contextlib.suppress(OSError):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


def _at_once(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def _run(relay: Relay) -> None:
    server = await relay.listen()
    _say({"port": server.sockets[0].getsockname()[1]})
    asked = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    while await asked.readline():
        _say(relay.counted())
    server.close()


def _say(told: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="relay", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--round-trip-ms", type=float, default=0.0)
    parser.add_argument("--mbit", type=float, default=0.0, help="each way; 0: no limit")
    asked = parser.parse_args()
    host, _, port = asked.to.rpartition(":")
    asyncio.run(_run(Relay(host, int(port), asked.round_trip_ms / 1e3, asked.mbit * 1e6 / 8)))


if __name__ == "__main__":
    main()
