"""What a supervisor is: start, stop and look at the process of one color."""

import contextlib
import signal
from typing import List, Literal, NamedTuple, Optional, Protocol, Sequence, Set

from teal_host.paths import ColorPaths
from teal_host.run import Program
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


def ended_by(number: int) -> str:
    """What is said of a program that a signal has ended."""
    with contextlib.suppress(ValueError):
        return f"it was ended by {signal.Signals(number).name}"
    return f"it was ended by signal {number}"


class Written(NamedTuple):
    """A line that a program wrote, and the release that it was.

    `at`: when, in seconds since 1970; of a log that keeps no times, when it was last written to.
    """

    release: str
    text: str
    at: float = 0.0


class Tail(Protocol):
    """Where somebody is in what a color writes, also over its next releases. `pause_s`: how long between two looks."""

    pause_s: float

    def last(self, lines: int) -> List[Written]:
        """The last lines until now."""

    def more(self) -> List[Written]:
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
