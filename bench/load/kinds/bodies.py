"""Clients that send large bodies, slowly."""

import asyncio
from itertools import pairwise

from bench.load.http1 import RequestError, read_head
from bench.load.kinds.base import Kind
from bench.load.place import content, request

_SIZE = 40_000  # more than a proxy keeps in memory
_PIECES = [_SIZE * piece // 8 for piece in range(9)]
_BETWEEN_S = 0.15


class SlowBody(Kind):
    """A buffering proxy passes the body on once the proxy has all of it."""

    name, path = "slow body, buffered", "/quick"
    headers: tuple[str, ...] = ()

    async def ask(self) -> None:
        ident = self.new()
        body = content(ident, _SIZE)
        await self.line.send(request("POST", f"{self.path}?id={ident}", f"Content-Length: {_SIZE}", *self.headers))
        await self.before_the_body()
        for begin, end in pairwise(_PIECES):
            await self.line.send(body[begin:end])
            await asyncio.sleep(_BETWEEN_S)
        head = await self.line.answer(body)
        self.tally.answered(ident, head.headers.get("x-color", ""))
        await self.line.end_of(head)

    async def before_the_body(self) -> None:
        return


class SlowBodyStreamed(SlowBody):
    """The program gets the body as it arrives, if the proxy is configured so."""

    name, path = "slow body, streamed", "/unbuffered/quick"


class Expecting(SlowBody):
    """Sends no body before the server asks for it."""

    name, headers = "Expect: 100-continue", ("Expect: 100-continue",)

    async def before_the_body(self) -> None:
        head = await read_head(self.line.reader)
        if head.status != 100:
            raise RequestError(f"status {head.status} instead of 100")
