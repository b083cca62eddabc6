"""The seams: what the stories ask of whatever keeps processes running and of whatever sends them traffic.

`supervisors/` and `proxies/` implement them; `main` chooses which.
"""

from pathlib import Path
from typing import List, Literal, NamedTuple, Optional, Protocol, Sequence, Set, Tuple

from teal_host.ground.paths import ColorPaths
from teal_host.ground.run import Program
from teal_host.state.route import Route
from teal_host.wire.app import Site
from teal_host.wire.values import dataclass


@dataclass(frozen=True)
class ProcessState:
    """`end` says how a failed process ended, as far as it is known. `since` is when it was started, UTC, ISO 8601.

    `restarts`: how often it has ended and was started again by the supervisor itself, since `start`.
    """

    state: Literal["running", "stopped", "failed"]
    pid: Optional[int] = None
    since: Optional[str] = None
    end: str = ""
    restarts: int = 0


class OutputLine(NamedTuple):
    """A line that a program wrote, and the release that it was.

    `at`: when, in seconds since 1970; of a log that keeps no times, when it was last written to.
    """

    release: str
    text: str
    at: float = 0.0


class Tail(Protocol):
    """Where somebody is in what a color writes, also over its next releases. `pause_s`: how long between two looks."""

    pause_s: float

    def last(self, lines: int) -> List[OutputLine]:
        """The last lines until now."""

    def more(self) -> List[OutputLine]:
        """What came since."""


class Supervisor(Protocol):
    def start(self, color: ColorPaths, program: Program) -> None:
        """Start the program as this color's process. Raises CannotRun when it cannot be executed at all."""

    def stop(self, color: ColorPaths, grace_s: float) -> None:
        """Ask the process to end, wait, then end it and all its children. Nothing of it is left afterwards."""

    def state(self, color: ColorPaths) -> ProcessState: ...

    def pids(self, color: ColorPaths) -> Set[int]:
        """All processes of the color, children included."""

    def tail(self, color: ColorPaths) -> Tail: ...

    def enable(self, color: ColorPaths) -> None:
        """From now on this color comes back when the machine does: said before traffic is turned to it."""

    def is_ending(self) -> bool:
        """Is the whole machine going down? Then it says nothing of a program that it ends."""

    def favor(self, live: Optional[ColorPaths], others: Sequence[ColorPaths]) -> None:
        """The live color comes back at boot and is spared when memory is short; the others do not, and are not."""


class Proxy(Protocol):
    def check_site(self, site: Site) -> None:
        """Raises BadRequest if this proxy cannot serve the site, and names what prevents it."""

    def serve(self, route: Route, others: Sequence[Route]) -> bool:
        """Serve the route beside the others. The route is in effect on return; true when something had to change.

        Raises CannotRun with the proxy's own words, and then nothing has changed.
        """

    def remove(self, app: str, others: Sequence[Route]) -> None:
        """Stop serving the app."""

    def serves(self, route: Route) -> bool:
        """Is exactly this route in effect now?"""

    def address(self, site: Site) -> Tuple[str, int]:
        """Where a probe on this machine asks."""

    def url(self, site: Site) -> str: ...

    def log_of(self, app: str) -> Path:
        """Where it says, while Teal watches, which address it asked and what the status was: a line a request."""

    def quiet(self, site: Site) -> bool:
        """Is it certain that no request is in flight now?"""
