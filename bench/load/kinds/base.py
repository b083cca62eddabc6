"""One client: what it asks when it is its turn."""

from typing import ClassVar

from bench.load.place import Line, Place
from bench.load.tally import Tally


class Kind:
    """`requests`: how many one turn has. `every_s`: between the turns of a client that takes long."""

    name: ClassVar[str]
    requests: ClassVar[int] = 1
    quick: ClassVar[bool] = False  # answered at once, so it tells something that it came late
    every_s: ClassVar[float] = 1.7
    tls: ClassVar[bool] = False

    def __init__(self, place: Place, tally: Tally) -> None:
        self.place = place
        self.tally = tally
        self.line = Line(place)
        self.turns = 0

    def new(self) -> str:
        self.turns += 1
        return self.tally.new(self.name)

    async def ask(self) -> None:
        """Ask once, and never again. Raises RequestError, OSError, EOFError."""
        raise NotImplementedError

    async def leave(self) -> None:
        await self.line.hang_up()
