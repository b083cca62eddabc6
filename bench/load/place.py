"""The target of the load, and one connection to the target."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.load.http1 import Head, RequestError, read_body, read_head

HOST = "load.test"  # the name in requests and in the certificate
# nginx announces the end of a connection after 1000 requests, which a pipelining client cannot heed
_MOST_ON_A_LINE = 900


@dataclass(frozen=True)
class Place:
    """`certificate` is the one that the server must show on `tls_port`.

    Without a certificate, the load uses no TLS and no HTTP/2.
    """

    address: str
    port: int
    tls_port: int = 0
    certificate: Path | None = None

    async def connect(self, over_tls: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connects, over TLS if the caller names a protocol: `http/1.1` or `h2`."""
        if not over_tls:
            return await asyncio.open_connection(self.address, self.port)
        trust = ssl.create_default_context(cafile=self.certificate)
        trust.set_alpn_protocols([over_tls])
        return await asyncio.open_connection(self.address, self.tls_port, ssl=trust, server_hostname=HOST)


class Line:
    """A connection, opened on first use. Nothing watches the connection between two uses."""

    def __init__(self, place: Place, tls: bool = False) -> None:
        self._place = place
        self._tls = tls
        self._pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0

    async def send(self, content: bytes) -> None:
        if self._pair is None:
            self._pair = await self._place.connect("http/1.1" if self._tls else "")
            self._used = 0
        self._used += 1
        _, writer = self._pair
        writer.write(content)
        await writer.drain()

    @property
    def reader(self) -> asyncio.StreamReader:
        assert self._pair
        return self._pair[0]

    async def head(self) -> Head:
        """Returns the head of a correct answer. Raises RequestError for any other head."""
        head = await read_head(self.reader)
        while head.status == 100:  # a second "100 Continue", which a proxy in between may send
            head = await read_head(self.reader)
        if head.status != 200:
            raise RequestError(f"status {head.status}")
        return head

    async def answer(self, expected: bytes) -> Head:
        head = await self.head()
        check(await read_body(self.reader, head), expected)
        return head

    async def look(self) -> None:
        """Checks whether the other end has closed, as a polite client does just before it sends."""
        await asyncio.sleep(0)
        if self._pair and self.reader.at_eof():
            await self.hang_up()

    async def end_of(self, head: Head, requests: int = 1) -> None:
        """Closes the connection after an announced end, or when it is old enough."""
        self._used += requests - 1
        if head.closes or self._used >= _MOST_ON_A_LINE:
            await self.hang_up()

    async def hang_up(self) -> None:
        pair, self._pair = self._pair, None
        if pair:
            await cut(pair[1])


def content(ident: str, size: int) -> bytes:
    """The content of the program's answer to this id."""
    return (f"{ident} " * (size // (len(ident) + 1) + 1))[:size].encode()


def check(body: bytes, expected: bytes) -> None:
    """Raises RequestError."""
    if body != expected:
        raise RequestError(f"{len(body)} bytes instead of {len(expected)}, or others: {body[:60]!r}")


def request(method: str, target: str, *headers: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{version}", f"Host: {HOST}", *headers, "", ""]).encode()


async def cut(writer: asyncio.StreamWriter) -> None:
    """Ends the connection at once, whatever is still under way."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
