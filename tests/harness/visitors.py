"""Visitors of the sites of a booted test server. They report every failure and never retry.

Half of the visitors keep their connection, as browsers do, and send GET and POST in turn; the others open a connection
for each request. A request without a complete and correct answer counts as lost. A connection whose end an answer
announced does not.
"""

import asyncio
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from bench.load.http1 import Answer, RequestError, read_answer

from harness import Server
from harness.world import PATIENCE_S

DEADLINE_S = 30.0  # for one request
MOST_REQUESTS = 200_000  # a limit, for a test that hangs
KEPT_FAILURES = 20

Check = Callable[[bytes], bool]


@dataclass(frozen=True)
class Site:
    """`check` recognizes a correct answer to GET. A site that takes POST echoes the body. Visitors send the cookie."""

    host: str
    check: Check
    path: str = "/"
    takes_post: bool = True
    cookie: str = ""


def app_site(host: str, app: str) -> Site:
    """A site of tests/apps/tiny.c. An answer of another app is wrong."""
    return Site(host, lambda body: json.loads(body)["app"] == app)


def static_site(host: str, path: str, content: bytes) -> Site:
    return Site(host, lambda body: body == content, path, takes_post=False)


@dataclass
class Tally:
    asked: Counter[str] = field(default_factory=Counter)  # by host
    lost: int = 0
    failures: list[str] = field(default_factory=list)


class Visitors:
    """`each` visitors of either kind for each site, each with `per_second` requests a second."""

    def __init__(self, server: Server, sites: list[Site], each: int = 2, per_second: float = 10) -> None:
        self.tally = Tally()
        self._address = server.address
        self._every = 1 / per_second
        self._began = time.monotonic()
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._people = [(site, keeps) for site in sites for keeps in (True, False) for _ in range(each)]
        self._thread = threading.Thread(target=self._work, name="visitors", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with suppress(RuntimeError):  # the visitors have already stopped
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def wait_for_requests(self, count: int = 40) -> None:
        """Waits until every site has answered `count` more requests."""
        hosts = {site.host for site, _ in self._people}
        wanted = {host: self.tally.asked[host] + count for host in hosts}
        deadline = time.monotonic() + PATIENCE_S
        while any(self.tally.asked[host] < number for host, number in wanted.items()):
            assert self._thread.is_alive(), "the visitors have gone"
            assert time.monotonic() < deadline, self.tally
            time.sleep(0.02)

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._all())

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number, (site, keeps) in enumerate(self._people):
                group.create_task(self._visit(site, keeps, number / len(self._people)))

    async def _visit(self, site: Site, keeps: bool, late: float) -> None:
        due = self._loop.time() + late * self._every
        connection = _Connection(self._address)
        turn = 0
        while not await self._ended(due) and self.tally.asked.total() < MOST_REQUESTS:
            turn, due = turn + 1, due + self._every
            post = keeps and site.takes_post and turn % 2 == 0
            body = os.urandom(turn * 619 % 4000 + 1) if post else None
            try:
                answer = await connection.ask(_request(site, body, keeps), keeps)
                _must_be_right(site, answer, body)
            except RequestError as error:
                self._lost(f"{site.host} {'POST' if post else 'GET'}, {'kept' if keeps else 'new'}: {error}")
            self.tally.asked[site.host] += 1
        await connection.hang_up()

    async def _ended(self, due: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await self._stop.wait()
        return self._stop.is_set()

    def _lost(self, why: str) -> None:
        self.tally.lost += 1
        if len(self.tally.failures) < KEPT_FAILURES:
            self.tally.failures.append(f"after {time.monotonic() - self._began:.3f} s, {why}")


class _Connection:
    """A connection, kept for the next request if wanted. Nothing checks the connection before a request."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, keeps: bool) -> Answer:
        """Raises RequestError."""
        answer = None
        try:
            async with asyncio.timeout(DEADLINE_S):
                if self._open is None:
                    self._open = await asyncio.open_connection(self._address, 80)
                reader, writer = self._open
                writer.write(request)
                await writer.drain()
                answer = await read_answer(reader)
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            raise RequestError(f"{type(error).__name__}: {error}") from error
        finally:
            if answer is None or answer.closes or not keeps:
                await self.hang_up()
        return answer

    async def hang_up(self) -> None:
        if self._open:
            _, writer = self._open
            self._open = None
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


def _request(site: Site, body: bytes | None, keeps: bool) -> bytes:
    lines = [f"{'GET' if body is None else 'POST'} {site.path} HTTP/1.1", f"Host: {site.host}"]
    lines += [f"Cookie: {site.cookie}"] if site.cookie else []
    lines += [] if keeps else ["Connection: close"]
    lines += [] if body is None else [f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def _must_be_right(site: Site, answer: Answer, sent: bytes | None) -> None:
    """Raises RequestError."""
    if answer.status != 200:
        raise RequestError(f"status {answer.status}")
    if not (_is_right(site, answer.body) if sent is None else answer.body == sent):
        raise RequestError(f"a wrong body: {answer.body[:80]!r}")


def _is_right(site: Site, body: bytes) -> bool:
    try:
        return site.check(body)
    except (ValueError, KeyError, TypeError):
        return False


@contextmanager
def visitors(server: Server, sites: list[Site], each: int = 2, per_second: float = 10) -> Iterator[Visitors]:
    """Visits the sites from before the block until its end."""
    people = Visitors(server, sites, each, per_second)
    people.start()
    try:
        people.wait_for_requests(10)
        yield people
    finally:
        people.stop()
