"""Clients of streams. The streams end by themselves, and nobody may cut a stream before."""

import asyncio
import base64
import hashlib
import os

from bench.load.http1 import RequestError, read_chunk, read_head
from bench.load.kinds.base import Kind
from bench.load.place import check, request

_EVENTS, _BETWEEN_MS = 8, 150
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_TEXT, _CLOSE = 0x81, 0x88


class Events(Kind):
    """Reads numbered server-sent events, checks that none is missing, and waits for the end."""

    name = "server-sent events"

    async def ask(self) -> None:
        ident = self.new()
        await self.line.send(request("GET", f"/events?id={ident}&n={_EVENTS}&ms={_BETWEEN_MS}"))
        head = await self.line.head()
        received = b""
        while chunk := await read_chunk(self.line.reader):
            received += chunk
        check(received, b"".join(f"id: {number}\ndata: {ident}\n\n".encode() for number in range(_EVENTS)))
        self.tally.answered(ident, head.headers.get("x-color", ""))
        await self.line.end_of(head)


class WebSocket(Kind):
    """Sends a message now and then, expects the echo, and closes."""

    name = "WebSocket"

    async def ask(self) -> None:
        ident = self.new()
        color = await self._shake_hands(ident)
        for number in range(_EVENTS):
            await self._echoed(_TEXT, f"{number} {ident}".encode())
            await asyncio.sleep(_BETWEEN_MS / 1000)
        await self._echoed(_CLOSE, (1000).to_bytes(2, "big"))
        self.tally.answered(ident, color)
        await self.line.hang_up()

    async def _shake_hands(self, ident: str) -> str:
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        await self.line.send(request("GET", f"/echo?id={ident}", *upgrade, f"Sec-WebSocket-Key: {key}"))
        head = await read_head(self.line.reader)
        expected = base64.b64encode(hashlib.sha1(f"{key}{_MAGIC}".encode()).digest()).decode()
        if (head.status, head.headers.get("sec-websocket-accept")) != (101, expected):
            raise RequestError(f"no WebSocket: status {head.status}")
        return head.headers.get("x-color", "")

    async def _echoed(self, meaning: int, text: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
        await self.line.send(bytes([meaning, 0x80 | len(text)]) + mask + masked)
        check(await self.line.reader.readexactly(2 + len(text)), bytes([meaning, len(text)]) + text)
