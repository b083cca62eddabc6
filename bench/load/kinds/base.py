"""One client, and what it sends in its turn."""

from typing import ClassVar

from bench.load.place import Line, Place
from bench.load.tally import Tally


class Kind:
    """`requests` is the number of requests in one turn. `every_s` is the pause between turns of a slow client."""

    name: ClassVar[str]
    requests: ClassVar[int] = 1
    quick: ClassVar[bool] = False  # the server answers such a turn at once, so a late answer says something
    every_s: ClassVar[float] = 1.7
    tls: ClassVar[bool] = False

    def __init__(self, place: Place, tally: Tally) -> None:
        self.place = place
        self.tally = tally
        self.line = Line(place, self.tls)
        self.turns = 0

    def new(self) -> str:
        self.turns += 1
        return self.tally.new(self.name)

    async def ask(self) -> None:
        """Sends the requests once, and never again. Raises RequestError, OSError, EOFError."""
        raise NotImplementedError

    async def leave(self) -> None:
        await self.line.hang_up()
