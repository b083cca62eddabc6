"""Everything that can go wrong on this side, as a small tree.

HostError                  every one becomes one Failure on the wire, never a traceback
├── BadRequest             the values do not fit this server              → exit 3
├── NotAllowed             this user may not                              → exit 4
├── NotThere               no such app, or no such release                → exit 2
├── Unhealthy              the new color is not healthy, traffic untouched → exit 6
├── RolledBack             switched, failed, rolled back                  → exit 7
├── Locked                 another command holds the lock                 → exit 8
├── NeedsHuman             neither forward nor back is safe               → exit 10
├── Superseded             a rollback ended the watch and goes back       → exit 7
├── Cancelled              the client went away before it said commit     → exit 4
│   └── GaveWay            a rollback overtook it before its switch       → exit 8
└── CannotRun              a program that Teal needs did not do its work  → exit 1
    └── NoProcess          the machine has no room for another process    → exit 1
"""

from typing import Optional, Sequence

from teal_host.wire.messages import Failure
from teal_host.wire.outcomes import FAILURES, FailedOutcome, FailureCode
from teal_host.wire.reports import Color

# What a reader raises on a file of any content: a hand has edited the file, or a disk has spoilt it.
DAMAGED = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)


class HostError(Exception):
    """What failed, the evidence, and what to type next."""

    code: FailureCode = "unexpected"

    def __init__(self, message: str, evidence: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.evidence = tuple(evidence)
        self.hint = hint
        self.release: Optional[str] = None
        self.color: Optional[Color] = None
        self.previous: Optional[str] = None

    def about(self, release: Optional[str], color: Optional[Color], previous: Optional[str]) -> "HostError":
        """Say of which release this is told; the first to know is believed."""
        self.release = self.release or release
        self.color = self.color or color
        self.previous = self.previous or previous
        return self

    @property
    def outcome(self) -> FailedOutcome:
        return FAILURES[self.code][1]

    def failure(self) -> Failure:
        return Failure(self.code, self.message, self.evidence, self.hint, self.release, self.color, self.previous)


class BadRequest(HostError):
    code: FailureCode = "config"


class NotAllowed(HostError):
    code: FailureCode = "not_allowed"


class NotThere(HostError):
    code: FailureCode = "not_there"


class Unhealthy(HostError):
    code: FailureCode = "unhealthy"


class RolledBack(HostError):
    code: FailureCode = "rolled_back"


class Locked(HostError):
    code: FailureCode = "locked"


class NeedsHuman(HostError):
    code: FailureCode = "needs_human"


class Cancelled(HostError):
    code: FailureCode = "cancelled"


class GaveWay(Cancelled):
    """Raised inside a wait, so it passes whatever takes a failed question for no answer, as Cancelled does."""

    code: FailureCode = "locked"

    def __init__(self) -> None:
        super().__init__("gave way to a rollback; traffic stayed", hint="teal status, then teal deploy again")


class Superseded(HostError):
    code: FailureCode = "superseded"


class CannotRun(HostError):
    """A program that Teal needs ended badly or too late."""


class NoProcess(CannotRun):
    """The machine starts no further program. So nothing is known of that program, nor of a release."""


def as_host_error(error: Exception) -> HostError:
    """What the system refused (a full disk, a lost file) in the same form as everything else."""
    if isinstance(error, HostError):
        return error
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return CannotRun(f"the system says: {error.strerror or error}{where}")
    return CannotRun(f"unexpected: {type(error).__name__}: {error}")
