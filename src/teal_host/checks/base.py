"""What every check is given, and the findings that a check can make."""

from dataclasses import dataclass
from typing import Iterable, Iterator, List, Optional, Sequence, Set

from teal_host.ground.errors import HostError
from teal_host.preparations.base import Intent
from teal_host.preparations.change import SetupChange
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.state.footprint import Footprint
from teal_host.state.releases import Record
from teal_host.state.slots import Slots
from teal_host.wire.app import AppSpec
from teal_host.wire.reports import Color, Finding

PROGRAM_S = 8.0  # the doctor waits no longer for a program


@dataclass(frozen=True)
class Visit:
    """An app as it is on this host. `spec` is today's teal.toml; `ahead_s` is how far the client's clock is ahead."""

    app: App
    spec: AppSpec
    ahead_s: float
    agreed: Agreement
    slots: Slots
    records: List[Record]
    footprint: Footprint

    @property
    def intent(self) -> Intent:
        """Keeps what was agreed, so the changes that setup would make now are what differs from the agreement."""
        return Intent(self.app, self.agreed, self.footprint)

    def record(self, color: Optional[Color]) -> Optional[Record]:
        release = self.slots.releases[color] if color else None
        return next((record for record in self.records if record.release == release), None)

    def pids(self, color: Color) -> Set[int]:
        return self.app.host.supervisor.pids(self.app.paths.color(color))


def ok(what: str, message: str) -> Finding:
    return Finding(what, "ok", message)


def warning(what: str, message: str, hint: str = "", evidence: Sequence[str] = ()) -> Finding:
    return Finding(what, "warning", message, hint, tuple(evidence))


def fault(what: str, message: str, hint: str = "", evidence: Sequence[str] = ()) -> Finding:
    return Finding(what, "fault", message, hint, tuple(evidence))


def from_error(what: str, error: HostError) -> Finding:
    return fault(what, error.message, error.hint, error.evidence)


def drift(what: str, changes: Iterable[SetupChange], well: str) -> Iterator[Finding]:
    """A finding for each change that setup would make now; `well` is the message if there is none."""
    needed = [change for change in changes if not change.is_note]
    for change in needed:
        yield fault(what, f"teal setup would {change.description}", "teal setup", change.diff)
    if not needed:
        yield ok(what, well)
