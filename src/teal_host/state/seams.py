"""The seams: what the stories ask of whatever keeps processes running, sends them traffic, and agrees on names.

`supervisors/`, `proxies/` and `provisioning/` implement them; `main` chooses which.
"""

from pathlib import Path
from typing import Any, Callable, Iterator, List, Literal, NamedTuple, Optional, Protocol, Sequence, Set, Tuple

from teal_host.ground.http_probe import Address
from teal_host.ground.paths import AppPaths, ColorPaths
from teal_host.ground.run import Program
from teal_host.state.agreement import Agreement
from teal_host.state.route import Route
from teal_host.wire.app import AppSpec, Site
from teal_host.wire.reports import Color, Finding, RestartsReport
from teal_host.wire.values import dataclass

FALLBACK_LINE = len("1700000000.000 200\n")  # bytes of a line: of all of them until the year 2286


@dataclass(frozen=True)
class ProcessState:
    """`end` says how a failed process ended, as far as it is known. `since` is when it was started, UTC, ISO 8601.

    `restarts`: how often it has ended and was started again by the supervisor itself, since `start`. `restarts_soon`:
    it has ended, and the supervisor pauses before it starts it again.
    """

    state: Literal["running", "stopped", "failed"]
    pid: Optional[int] = None
    since: Optional[str] = None
    end: str = ""
    restarts: int = 0
    restarts_soon: bool = False


class OutputLine(NamedTuple):
    """A line that a program wrote, and the color and release that it was; a long line comes in pieces."""

    color: Color
    release: str
    text: str


class Tail(Protocol):
    """Where somebody is in what some colors write, also over their next releases. Both methods hold a window of it in
    memory, however much there is and however slowly it is taken. `pause_s`: how long between two looks.
    """

    pause_s: float

    def last(self, lines: int) -> Iterator[OutputLine]:
        """The last lines of all these colors until now, by their times as far as these are known."""

    def more(self) -> Iterator[OutputLine]:
        """What came since."""


class Supervisor(Protocol):
    def start(self, color: ColorPaths, program: Program) -> None:
        """Start the program as this color's process. Raises CannotRun when it cannot be executed at all."""

    def stop(self, color: ColorPaths, grace_s: float) -> None:
        """Ask the process to end, wait, then end it and all its children. Nothing of it is left afterwards."""

    def state(self, color: ColorPaths) -> ProcessState: ...

    def pids(self, color: ColorPaths) -> Set[int]:
        """All processes of the color, children included."""

    def tail(self, colors: Sequence[ColorPaths]) -> Tail:
        """Of what was written at the same time, that of the last color stands last."""

    def remarks(self, color: ColorPaths) -> List[str]:
        """What the supervisor itself wrote about the color, the newest last; nothing where it keeps no log."""

    def restarts(self, color: ColorPaths) -> Optional[RestartsReport]:
        """Of a program that ends again and again, or ended and is to be started again: since when, and how it ended."""

    def enable(self, color: ColorPaths) -> None:
        """From now on this color comes back when the machine does: said before traffic is turned to it."""

    def is_ending(self) -> bool:
        """Is the whole machine going down? Then it says nothing of a program that it ends."""

    def favor(self, live: Optional[ColorPaths], others: Sequence[ColorPaths]) -> None:
        """The live color comes back at boot and is spared when memory is short; the others do not, and are not."""


class Closed(NamedTuple):
    """`why`: what shuts the proxy out, in one sentence."""

    why: str
    hint: str


class Proxy(Protocol):
    def check_site(self, site: Site) -> None:
        """Raises BadRequest if this proxy cannot serve the site, and names what prevents it."""

    def try_route(self, route: Route, others: Sequence[Route]) -> None:
        """Raises BadRequest if this proxy would refuse the route, with the directive at fault. Nothing changes."""

    def serve(self, route: Route, others: Sequence[Route]) -> bool:
        """Serve the route beside the others. The route is in effect on return; true when something had to change.

        Raises CannotRun with the proxy's own words, and then nothing has changed.
        """

    def remove(self, app: str, others: Sequence[Route]) -> None:
        """Stop serving the app."""

    def serves(self, route: Route) -> bool:
        """Is exactly this route in effect now? Raises CannotRun where the proxy runs and gives no answer."""

    def address(self, site: Site) -> Tuple[str, int]:
        """Where a probe on this machine asks."""

    def closed(self, at: Address) -> Optional[Closed]:
        """Where Teal may ask a color, and the proxy may not. Raises CannotRun where that is not known."""

    def url(self, route: Route) -> str: ...

    def log_of(self, app: str) -> Path:
        """Where it says, while Teal watches, which address it asked and what the status was: a line a request."""

    def fallback_log_of(self, app: str) -> Path:
        """Where it writes a line of `FALLBACK_LINE` bytes for each request that the standby answered: time, status."""

    def quiet(self, site: Site) -> bool:
        """Is it certain that no request is in flight now?"""


class Check(NamedTuple):
    """A part of the doctor's round. `look` is given a `Visit` of checks/base."""

    what: str
    look: Callable[[Any], Iterator[Finding]]


@dataclass(frozen=True)
class Hints:
    """`not_served`: a note of the status. `memory`: what the warning of short memory adds."""

    not_served: str
    memory: str = ""


class Provisioning(Protocol):
    """Who agrees on names and ports and opens the route: setup, or a deploy."""

    @property
    def hints(self) -> Hints: ...

    def check_setup_is_possible(self) -> None:
        """Raise BadRequest where setup has nothing to do."""

    def check_is_set_up(self, app: AppPaths) -> None:
        """Raise BadRequest where the app waits for a setup. Every command asks first, but setup, doctor and destroy."""

    def agreement_for(self, spec: AppSpec, color: Color) -> Agreement:
        """The names and ports of a deploy to this color. Raises BadRequest where they do not fit or were not agreed."""

    def check_route(self, agreed: Agreement, within_s: float) -> None:
        """Before the upload: raise BadRequest where `open_route` would find that the proxy does not serve the app, and
        NotKnown where the proxy gives no answer for so long.
        """

    def open_route(self, agreed: Agreement) -> None:
        """On return nothing speaks against it that the proxy serves the app as agreed. Raises HostError."""

    def restore_route(self, agreed: Agreement) -> None:
        """After a failed switch: the route of before."""

    def withdraw_route(self, app: AppPaths) -> None:
        """Nothing is live."""

    def close_route(self, app: AppPaths) -> None:
        """The app is destroyed."""

    def checks(self) -> Sequence[Check]:
        """What the doctor looks at, in the order of its report."""

    def without_agreement(self, app: str) -> Finding:
        """What the doctor says before anything was agreed."""

    def undo(self, app: AppPaths) -> None:
        """Remove what setup made outside the app's own directories. Can be repeated."""

    def owns_data(self, app: AppPaths) -> bool:
        """Does a destroy remove the data directory?"""

    def end_processes(self, app: AppPaths) -> None:
        """Whatever still runs as the app's user, such as a command of `teal exec`."""

    def remove_user(self, app: AppPaths) -> None:
        """After the app's files are removed."""

    def remove_server_side(self) -> None:
        """After the last app is destroyed."""
