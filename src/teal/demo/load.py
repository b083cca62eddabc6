"""The load of `teal demo`: clients that hide nothing.

An ordinary HTTP client heals what a deploy breaks: before it sends it looks whether its connection still
stands, and when an answer fails to come it asks again. These clients do neither. Each sends once, on the
connection it kept, as it is; a request without a complete and correct 200 answer has failed, and is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import json
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from teal.demo.http1 import Answer, RequestError, read_answer

DEADLINE_S = 10.0  # for one request, a new connection included
KEPT_FAILURES = 20
LONGEST_BODY = 4096  # bytes


@dataclass(frozen=True)
class Tally:
    """What the clients have seen since the start, `seconds` ago."""

    requests: int  # those that have ended, well or not
    failed: int
    seconds: float
    failures: tuple[str, ...]  # why, of the first 20
    answered_by: tuple[tuple[str, int], ...] = ()  # a color, and how often it answered /status
    closes: int = 0  # answers that announced the end of their connection, which is no failure


class Load:
    """Asks a server on this machine `per_second` times a second, over `clients` connections, until stopped.

    One half of the requests is `GET /status`, the other `POST /echo`. Where the server is slower than that,
    each client asks as soon as it has its answer, until it has caught up.
    """

    def __init__(self, address: tuple[str, int], host: str, *, clients: int = 8, per_second: int = 600) -> None:
        """`host` is the name asked for. Raises ValueError for an address that is not loopback."""
        if clients < 1 or per_second < 1:
            raise ValueError(f"no load: {clients} clients, {per_second} requests a second")
        _must_be_loopback(address)
        self._book = _Book()
        self._clients = [_Client(address, host, self._book) for _ in range(clients)]
        self._gap = 1 / per_second
        self._stop = asyncio.Event()
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    def start(self) -> None:
        """Begins, in a thread of its own. Once only."""
        if self._running:
            raise RuntimeError("a load starts only once")
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._work, args=(loop,), name="teal-load", daemon=True)
        self._running = loop, thread
        self._book.begin()
        thread.start()

    def tally(self) -> Tally:
        """Returns what was seen so far. Raises RuntimeError if the load died of a mistake of its own."""
        return self._book.tally()

    def wait_for(self, requests: int, deadline_s: float) -> Tally:
        """Waits until that many requests have ended since the start, but not over `deadline_s` seconds."""
        self._book.wait_for(requests, deadline_s)
        return self.tally()

    def stop(self) -> Tally:
        """Lets the running requests end, 10 seconds at most, and returns what was seen in all."""
        if self._running:
            loop, thread = self._running
            with contextlib.suppress(RuntimeError):  # a closed loop: stopped before
                loop.call_soon_threadsafe(self._stop.set)
            thread.join()
        return self.tally()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        well = False
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._ask_all())
            well = True
        finally:
            self._book.end(well)

    async def _ask_all(self) -> None:
        """Runs the clients, each a gap behind the one before, so that the requests are spread evenly."""
        start = asyncio.get_running_loop().time()
        every = self._gap * len(self._clients)
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(self._clients):
                group.create_task(client.run(number, start + number * self._gap, every, self._stop))


def _must_be_loopback(address: tuple[str, int]) -> None:
    """Raises ValueError. Names are refused too: where they lead is decided elsewhere."""
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(address[0]).is_loopback:
            return
    raise ValueError(f"load goes only to a loopback address, such as 127.0.0.1, not to {address[0]!r}")


class _Book:
    """Where all clients write down what they see, and any thread may read."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._requests = self._failed = self._closes = 0
        self._failures: list[str] = []
        self._colors: Counter[str] = Counter()
        self._begun: float | None = None
        self._ended: float | None = None
        self._died = False

    def begin(self) -> None:
        self._begun = time.monotonic()

    def end(self, well: bool) -> None:
        with self._news:
            self._ended = time.monotonic()
            self._died = not well
            self._news.notify_all()

    def answered(self, color: str | None) -> None:
        """Notes a right answer, and the color that gave it, where it tells."""
        with self._news:
            self._requests += 1
            if color is not None:
                self._colors[color] += 1
            self._news.notify_all()

    def failed(self, reason: str) -> None:
        with self._news:
            self._requests += 1
            self._failed += 1
            if len(self._failures) < KEPT_FAILURES:
                self._failures.append(f"after {self._seconds():.3f} s, {reason}")
            self._news.notify_all()

    def closed(self) -> None:
        with self._news:
            self._closes += 1

    def wait_for(self, requests: int, deadline_s: float) -> None:
        with self._news:
            self._news.wait_for(lambda: self._requests >= requests or self._ended is not None, deadline_s)

    def tally(self) -> Tally:
        with self._news:
            if self._died:  # its numbers would look better than they are
                raise RuntimeError("the load died; stderr says why")
            colors = tuple(sorted(self._colors.items()))
            failures = tuple(self._failures)
            return Tally(self._requests, self._failed, self._seconds(), failures, colors, self._closes)

    def _seconds(self) -> float:
        if self._begun is None:
            return 0.0
        return (self._ended or time.monotonic()) - self._begun


@dataclass(frozen=True)
class _Request:
    """Asks for /status or, with a body, for /echo."""

    body: bytes | None

    @property
    def line(self) -> str:
        return "GET /status" if self.body is None else "POST /echo"

    def encode(self, host: str) -> bytes:
        lines = [f"{self.line} HTTP/1.1", f"Host: {host}"]
        if self.body is not None:
            lines += ["Content-Type: application/octet-stream", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", ""]).encode("ascii") + (self.body or b"")

    def check(self, answer: Answer) -> str | None:
        """Returns the color where the answer tells it. Raises RequestError for a wrong answer."""
        if answer.status != 200:
            raise RequestError(f"status {answer.status}")
        if self.body is None:
            return _color(answer.body)
        if answer.body != self.body:
            raise RequestError(f"{len(self.body)} bytes were sent, {len(answer.body)} others came back")
        return None


def _color(body: bytes) -> str:
    color: object = None
    with contextlib.suppress(ValueError, TypeError, KeyError):
        color = json.loads(body)["color"]
    if not isinstance(color, str):
        raise RequestError(f"not a JSON object with a color: {body[:80]!r}")
    return color


def _requests(first: int) -> Iterator[_Request]:
    """Yields, without end, the two kinds in turn; the second has a body that no other request has."""
    for turn in itertools.count(first):
        if turn % 2 == 0:
            yield _Request(None)
        else:
            name = uuid.uuid4().hex.encode()
            yield _Request(name + os.urandom(turn * 619 % (LONGEST_BODY - len(name))))


class _Client:
    """One client: one connection, one request at a time."""

    def __init__(self, address: tuple[str, int], host: str, book: _Book) -> None:
        self._address = address
        self._host = host
        self._book = book
        self._kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, first: int, due: float, every: float, stop: asyncio.Event) -> None:
        """Asks at `due`, by the clock of the loop, and then every `every` seconds until `stop`."""
        try:
            for request in _requests(first):
                if await _stopped(stop, due):
                    return
                await self._ask(request)
                due += every
        finally:
            await self._hang_up()

    async def _ask(self, request: _Request) -> None:
        try:
            answer = await self._exchange(request)
            color = request.check(answer)
        except RequestError as error:
            self._book.failed(f"{request.line}: {error}")
        else:
            self._book.answered(color)

    async def _exchange(self, request: _Request) -> Answer:
        """Sends, without a look at the connection, and reads. Where that fails it hangs up and raises."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                reader, writer = await self._connection()
                writer.write(request.encode(self._host))
                await writer.drain()
                answer = await read_answer(reader)
        except (RequestError, OSError, EOFError, asyncio.LimitOverrunError) as error:
            await self._hang_up()
            raise RequestError(_why(error)) from error
        if answer.closes:
            self._book.closed()
            await self._hang_up()
        return answer

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._kept is None:
            self._kept = await asyncio.open_connection(*self._address)
        return self._kept

    async def _hang_up(self) -> None:
        if self._kept is None:
            return
        _, writer = self._kept
        self._kept = None
        writer.transport.abort()  # close() would wait until a server that has stopped reading reads the rest
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _stopped(stop: asyncio.Event, due: float) -> bool:
    """Waits until `due`, by the clock of the loop, or for `stop`, and says whether that has come."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(due):
            await stop.wait()
    return stop.is_set()


def _why(error: Exception) -> str:
    match error:
        case TimeoutError():
            return f"no whole answer in {DEADLINE_S:g} s"
        case EOFError():
            return "the answer was cut off"
        case asyncio.LimitOverrunError():
            return "a line of the answer does not end"
        case _:
            return str(error) or type(error).__name__
