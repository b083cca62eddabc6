"""Clients whose request or answer takes long."""

import asyncio

from bench.load.kinds.base import Kind
from bench.load.place import content, request

_LASTS_MS = 1200
_DOWNLOAD = 300_000


class SlowHeaders(Kind):
    """Sends its request in small pieces."""

    name = "slow headers"

    async def ask(self) -> None:
        ident = self.new()
        whole = request("GET", f"/quick?id={ident}&size=300", "X-Long: " + "x" * 60)
        for begin in range(0, len(whole), 20):
            await self.line.send(whole[begin : begin + 20])
            await asyncio.sleep(_LASTS_MS / 1000 * 20 / len(whole))
        head = await self.line.answer(content(ident, 300))
        self.tally.answered(ident, head.headers.get("x-color", ""))
        await self.line.end_of(head)


class SlowDownload(Kind):
    """Reads a long answer in pieces, and checks that the answer is complete."""

    name, asked, size = "slow download", f"/slow?ms={_LASTS_MS}&size={_DOWNLOAD}", _DOWNLOAD

    async def ask(self) -> None:
        ident = self.new()
        await self.line.send(request("GET", f"{self.asked}&id={ident}"))
        head = await self.line.answer(content(ident, self.size))
        self.tally.answered(ident, head.headers.get("x-color", ""))
        await self.line.end_of(head)


class LongPoll(SlowDownload):
    """Waits a long time without receiving a byte."""

    name, asked, size = "long poll", f"/poll?ms={_LASTS_MS}", 100
