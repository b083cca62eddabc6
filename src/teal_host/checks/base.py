"""What every check is given, and how it says what it found."""

import os
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

PROGRAM_S = 8.0  # no program that the doctor asks is waited for longer


@dataclass(frozen=True)
class Visit:
    """An app as it is on this host. `spec` is what teal.toml says now; `ahead_s` the client's clock against ours."""

    app: App
    spec: AppSpec
    ahead_s: float
    agreed: Agreement
    slots: Slots
    records: List[Record]
    footprint: Footprint

    @property
    def intent(self) -> Intent:
        """To keep what was agreed: what setup would do now is what is not as it left it."""
        return Intent(self.app, self.agreed, self.footprint)

    def record(self, color: Optional[Color]) -> Optional[Record]:
        release = self.slots.releases[color] if color else None
        return next((record for record in self.records if record.release == release), None)

    def pids(self, color: Color) -> Set[int]:
        return self.app.host.supervisor.pids(self.app.paths.color(color))


def ok(what: str, says: str) -> Finding:
    return Finding(what, "ok", says)


def warning(what: str, says: str, hint: str = "", evidence: Sequence[str] = ()) -> Finding:
    return Finding(what, "warning", says, hint, tuple(evidence))


def fault(what: str, says: str, hint: str = "", evidence: Sequence[str] = ()) -> Finding:
    return Finding(what, "fault", says, hint, tuple(evidence))


def refused(what: str, error: HostError) -> Finding:
    """What could not be done, or must not be, in its own words."""
    return fault(what, error.message, error.hint, error.evidence)


def there(command: str) -> str:
    """The command as one types it at home, to be run over there as root."""
    return f"teal ssh -- {'sudo ' if 'SUDO_USER' in os.environ else ''}{command}"


def drift(what: str, acts: Iterable[SetupChange], fine: str) -> Iterator[Finding]:
    """What setup would do now, as findings; `fine` when that is nothing."""
    needed = [act for act in acts if not act.is_note]
    for act in needed:
        yield fault(what, f"teal setup would {act.says}", "teal setup", act.diff)
    if not needed:
        yield ok(what, fine)
