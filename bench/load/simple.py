"""A simple load for tests: HTTP clients that hide no failure.

An ordinary HTTP client hides what a deploy breaks. Before it sends, the client checks its keep-alive connection.
After a failure the client retries. The clients here do neither: each sends a request once, on the connection that
is open. A request without a complete and correct 200 answer counts as failed.
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

from bench.load.http1 import Answer, RequestError, read_answer

DEADLINE_S = 10.0  # for a request, including a new connection
MAX_FAILURES = 20
MAX_BODY = 4096  # bytes


@dataclass(frozen=True)
class Tally:
    """The counts of all clients since the start, `seconds` ago."""

    requests: int  # finished requests, failed or not
    failed: int
    seconds: float
    failures: tuple[str, ...]  # the reasons of the first 20 failures
    answered_by: tuple[tuple[str, int], ...] = ()  # each color, and how often the color answered /status
    closes: int = 0  # answers that announced a close of the connection, which is no failure


class Load:
    """Sends `per_second` requests a second to a server on this machine, over `clients` connections, until `stop`.

    One half of the requests is `GET /status`, the other half `POST /echo`. If the server is slower, each client
    sends the next request as soon as the answer arrives, until the client has caught up.
    """

    def __init__(self, address: tuple[str, int], host: str, *, clients: int = 8, per_second: int = 600) -> None:
        """`host` is the Host header. Raises ValueError unless the address is a loopback address."""
        if clients < 1 or per_second < 1:
            raise ValueError(f"no load: {clients} clients, {per_second} requests a second")
        _ensure_loopback(address)
        self._ledger = _Ledger()
        self._clients = [_Client(address, host, self._ledger) for _ in range(clients)]
        self._gap = 1 / per_second
        self._stop = asyncio.Event()
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    def start(self) -> None:
        """Starts the clients in their own thread. Raises RuntimeError on a second start."""
        if self._running:
            raise RuntimeError("a load starts only once")
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._work, args=(loop,), name="teal-load", daemon=True)
        self._running = loop, thread
        self._ledger.begin()
        thread.start()

    def tally(self) -> Tally:
        """Returns the counts so far. Raises RuntimeError if the load itself crashed."""
        return self._ledger.tally()

    def wait_for(self, requests: int, deadline_s: float) -> Tally:
        """Waits until so many requests have finished since the start, at most `deadline_s` seconds."""
        self._ledger.wait_for(requests, deadline_s)
        return self.tally()

    def stop(self) -> Tally:
        """Lets running requests finish, for at most 10 seconds, and returns the final counts."""
        if self._running:
            loop, thread = self._running
            with contextlib.suppress(RuntimeError):  # the loop is closed: a second stop
                loop.call_soon_threadsafe(self._stop.set)
            thread.join()
        return self.tally()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        finished = False
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._run_clients())
            finished = True
        finally:
            self._ledger.end(finished)

    async def _run_clients(self) -> None:
        """Starts each client a gap after the previous client, so that the requests are spread evenly."""
        start = asyncio.get_running_loop().time()
        interval_s = self._gap * len(self._clients)
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(self._clients):
                group.create_task(client.run(number, start + number * self._gap, interval_s, self._stop))


def _ensure_loopback(address: tuple[str, int]) -> None:
    """Raises ValueError. A name is no loopback address: a resolver decides where the name leads."""
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(address[0]).is_loopback:
            return
    raise ValueError(f"load goes only to a loopback address, such as 127.0.0.1, not to {address[0]!r}")


class _Ledger:
    """The counts that all clients write and any thread may read."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests = self._failed = self._closes = 0
        self._failures: list[str] = []
        self._colors: Counter[str] = Counter()
        self._started_at: float | None = None
        self._ended_at: float | None = None
        self._crashed = False

    def begin(self) -> None:
        self._started_at = time.monotonic()

    def end(self, finished: bool) -> None:
        with self._changed:
            self._ended_at = time.monotonic()
            self._crashed = not finished
            self._changed.notify_all()

    def answered(self, color: str | None) -> None:
        """Counts a correct answer, and the color that the answer names."""
        with self._changed:
            self._requests += 1
            if color is not None:
                self._colors[color] += 1
            self._changed.notify_all()

    def failed(self, reason: str) -> None:
        with self._changed:
            self._requests += 1
            self._failed += 1
            if len(self._failures) < MAX_FAILURES:
                self._failures.append(f"after {self._seconds():.3f} s, {reason}")
            self._changed.notify_all()

    def closed(self) -> None:
        with self._changed:
            self._closes += 1

    def wait_for(self, requests: int, deadline_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._requests >= requests or self._ended_at is not None, deadline_s)

    def tally(self) -> Tally:
        with self._changed:
            if self._crashed:  # the counts would look better than the truth
                raise RuntimeError("the load died; stderr has the reason")
            colors = tuple(sorted(self._colors.items()))
            failures = tuple(self._failures)
            return Tally(self._requests, self._failed, self._seconds(), failures, colors, self._closes)

    def _seconds(self) -> float:
        if self._started_at is None:
            return 0.0
        return (self._ended_at or time.monotonic()) - self._started_at


@dataclass(frozen=True)
class _Request:
    """A GET for /status or, with a body, a POST to /echo."""

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
        """Returns the color that the answer names. Raises RequestError for a wrong answer."""
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
    """Yields both kinds in turn, without end. Every POST has a unique body."""
    for number in itertools.count(first):
        if number % 2 == 0:
            yield _Request(None)
        else:
            unique = uuid.uuid4().hex.encode()
            yield _Request(unique + os.urandom(number * 619 % (MAX_BODY - len(unique))))


class _Client:
    """One client has one connection and sends one request at a time."""

    def __init__(self, address: tuple[str, int], host: str, ledger: _Ledger) -> None:
        self._address = address
        self._host = host
        self._ledger = ledger
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, first: int, due: float, interval_s: float, stop: asyncio.Event) -> None:
        """Sends at `due`, by the clock of the loop, and then every `interval_s` seconds until `stop`."""
        try:
            for request in _requests(first):
                if await _stopped(stop, due):
                    return
                await self._send(request)
                due += interval_s
        finally:
            await self._hang_up()

    async def _send(self, request: _Request) -> None:
        try:
            answer = await self._exchange(request)
            color = request.check(answer)
        except RequestError as error:
            self._ledger.failed(f"{request.line}: {error}")
        else:
            self._ledger.answered(color)

    async def _exchange(self, request: _Request) -> Answer:
        """Sends without a check of the connection, and reads. After a failure the client hangs up and raises."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                reader, writer = await self._connect()
                writer.write(request.encode(self._host))
                await writer.drain()
                answer = await read_answer(reader)
        except (RequestError, OSError, EOFError, asyncio.LimitOverrunError) as error:
            await self._hang_up()
            raise RequestError(_reason(error)) from error
        if answer.closes:
            self._ledger.closed()
            await self._hang_up()
        return answer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._connection is None:
            self._connection = await asyncio.open_connection(*self._address)
        return self._connection

    async def _hang_up(self) -> None:
        if self._connection is None:
            return
        _, writer = self._connection
        self._connection = None
        writer.transport.abort()  # close() would wait for a server that has stopped reading
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _stopped(stop: asyncio.Event, due: float) -> bool:
    """Waits until `due`, by the clock of the loop, or until `stop`. Returns whether `stop` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(due):
            await stop.wait()
    return stop.is_set()


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return f"no whole answer in {DEADLINE_S:g} s"
        case EOFError():
            return "the answer was cut off"
        case asyncio.LimitOverrunError():
            return "a line of the answer does not end"
        case _:
            return str(error) or type(error).__name__
