"""Clients that send a request and get an answer: over a new connection each time, or over a kept connection."""

from bench.load.kinds.base import Kind
from bench.load.place import content, request

_SIZES = (20, 300, 3000, 20_000)


class New(Kind):
    """A new connection for each request."""

    name, quick, version = "new connection", True, "1.1"

    async def ask(self) -> None:
        ident = self.new()
        size = _SIZES[self.turns % len(_SIZES)]
        await self.line.send(
            request("GET", f"/quick?id={ident}&size={size}", "Connection: close", version=self.version)
        )
        head = await self.line.answer(content(ident, size))
        self.tally.answered(ident, head.headers.get("x-color", ""))
        await self.line.hang_up()


class Http10(New):
    name, version = "HTTP/1.0", "1.0"


class NewTls(New):
    name, tls = "HTTPS", True


class Naive(Kind):
    """Keeps its connection and never checks it before a request. Sends GET and POST in turn."""

    name, quick = "kept, naive", True

    async def ask(self) -> None:
        ident = self.new()
        size = _SIZES[self.turns % len(_SIZES)]
        expected = content(ident, size)
        post = self.turns % 2 == 0
        asked = f"/quick?id={ident}" if post else f"/quick?id={ident}&size={size}"
        whole = request("POST", asked, f"Content-Length: {size}") + expected if post else request("GET", asked)
        await self.line.send(whole)
        head = await self.line.answer(expected)
        self.tally.answered(ident, head.headers.get("x-color", ""))
        await self.line.end_of(head)


class Polite(Naive):
    """Checks its connection just before each request, so only the true race remains."""

    name = "kept, polite"

    async def ask(self) -> None:
        await self.line.look()
        await super().ask()


class Head(Kind):
    """Acts as an outside monitor: opens a new connection, and gets an answer without a body."""

    name, quick = "HEAD", True

    async def ask(self) -> None:
        ident = self.new()
        await self.line.send(request("HEAD", f"/quick?id={ident}&size=300", "Connection: close"))
        head = await self.line.head()
        self.tally.answered(ident, head.headers.get("x-color", ""))
        await self.line.hang_up()


class Pipelined(Kind):
    """Sends several requests in one write. The server answers them in order."""

    name, quick, requests = "pipelined", True, 4

    async def ask(self) -> None:
        ids = [self.new() for _ in range(self.requests)]
        await self.line.send(b"".join(request("GET", f"/quick?id={ident}&size=300") for ident in ids))
        for ident in ids:
            head = await self.line.answer(content(ident, 300))
            self.tally.answered(ident, head.headers.get("x-color", ""))
        await self.line.end_of(head, self.requests)
