"""Stands as a thin wire in front of a server: delays bytes, limits the rate and counts bytes, in both directions.

The relay is a process of its own, so that the measuring process does not slow the wire down. Each direction is a lane.
Bytes that arrive wait until the bytes before them have left (the rate), and then half a round trip longer. Opening a
connection also costs a round trip, as on a real line. The relay models neither loss nor TCP's slow start.

`python -m bench.relay --to HOST:PORT --round-trip-ms 50 --mbit 50` prints its port as a line of JSON. For each line on
standard input, the relay prints its counts since the last line. The relay ends when standard
input ends.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import time
from dataclasses import dataclass, field

_PIECE = 16 * 1024  # bytes: less than 3 ms of 50 Mbit/s, so that one connection does not hold up another
_WINDOW = 64 * 1024  # bytes that the kernel takes from a sender before the sender has to wait for the relay
_QUEUED_S = 0.1  # bytes that may wait before the wire, as in a router; after that the sender waits


@dataclass
class Lane:
    """One direction, shared by all connections. `rate` is in bytes a second; 0 means no limit."""

    delay_s: float
    rate: float
    count: int = 0
    free_at: float = 0.0

    def due(self, size: int) -> float:
        """The moment when the last of these bytes arrives."""
        self.count += size
        now = time.monotonic()
        self.free_at = max(now, self.free_at) + (size / self.rate if self.rate else 0.0)
        return self.free_at + self.delay_s

    @property
    def too_full_s(self) -> float:
        return self.free_at - time.monotonic() - _QUEUED_S


@dataclass
class Relay:
    """Passes each connection on to `host:port`, as over a wire with this round trip and rate."""

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
        """The counts since the last call."""
        counts = {"up": self.up.count, "down": self.down.count, "connections": self.connections}
        self.up.count = self.down.count = self.connections = 0
        return counts

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await asyncio.sleep(self.round_trip_s)  # the client's connect() has returned
        target: asyncio.StreamWriter | None = None
        with contextlib.suppress(OSError, asyncio.CancelledError):  # the relay itself ends
            queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
            taking = asyncio.create_task(_take(reader, self.up, queue))
            await asyncio.sleep(self.round_trip_s / 2)  # the server's accept() has returned, too
            from_there, target = await asyncio.open_connection(self.host, self.port, limit=_WINDOW)
            _at_once(target)
            _at_once(writer)
            back: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
            ways = (_give(queue, target), _take(from_there, self.down, back), _give(back, writer))
            await asyncio.gather(taking, *ways, return_exceptions=True)
        for end in (writer, target):
            if end is not None:
                end.close()


async def _take(reader: asyncio.StreamReader, lane: Lane, queue: "asyncio.Queue[tuple[float, bytes]]") -> None:
    """Reads arriving bytes at once, unless the lane is full. The queue decides when the relay passes them on."""
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


def _say(counts: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(counts) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="relay", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--round-trip-ms", type=float, default=0.0)
    parser.add_argument("--mbit", type=float, default=0.0, help="the rate in each direction; 0 means no limit")
    asked = parser.parse_args()
    host, _, port = asked.to.rpartition(":")
    asyncio.run(_run(Relay(host, int(port), asked.round_trip_ms / 1e3, asked.mbit * 1e6 / 8)))


if __name__ == "__main__":
    main()
