"""What a supervisor is: start, stop and look at the process of one color."""

from dataclasses import dataclass
from typing import Literal, Optional, Protocol, Set

from teal_host.paths import ColorPaths
from teal_host.run import Program


@dataclass(frozen=True)
class ProcessState:
    """`end` says how a failed process ended, as far as it is known. `since` is when it was started, UTC, ISO 8601."""

    state: Literal["running", "stopped", "failed"]
    pid: Optional[int] = None
    since: Optional[str] = None
    end: str = ""


class Supervisor(Protocol):
    def start(self, color: ColorPaths, program: Program) -> None:
        """Start the program as this color's process. Raises CannotRun when it cannot be executed at all."""

    def stop(self, color: ColorPaths, grace_s: float) -> None:
        """Ask the process to end, wait, then end it and all its children. Nothing of it is left afterwards."""

    def state(self, color: ColorPaths) -> ProcessState: ...

    def pids(self, color: ColorPaths) -> Set[int]:
        """All processes of the color, children included."""
