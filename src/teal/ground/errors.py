"""Everything that can go wrong for a user, as a small tree. Each error has a message, evidence and a hint to type.

TealError
├── Usage            the command line makes no sense                              → exit 2
├── ConfigError      teal.toml has mistakes, or names a file that does not exist   → exit 3
├── CannotReach      no server side answers                                        → exit 4
├── BuildFailed      the build command failed                                      → exit 5
├── HostFailed       the server side reports a failure; its code decides           → exit 1, 2, 3, 4, 6, 7, 8, 10
├── ContactLost      after commit: the outcome is not known here                   → exit 9
└── Interrupted      Ctrl-C                                                        → exit 130
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from teal_host.wire.messages import Failure


class TealError(Exception):
    exit_code = 1
    outcome = "refused"
    evidence_is_shown = False  # the terminal has shown it already, as output of the build

    def __init__(self, message: str, evidence: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.evidence = tuple(evidence)
        self.hint = hint


class Usage(TealError):
    exit_code = 2


class ConfigError(TealError):
    exit_code = 3


class CannotReach(TealError):
    exit_code = 4


class BuildFailed(TealError):
    exit_code = 5


class ContactLost(TealError):
    exit_code = 9
    outcome = "unknown"


class Interrupted(TealError):
    exit_code = 130


_BY_CODE = {
    "usage": (2, "refused"),
    "not_there": (2, "refused"),
    "config": (3, "refused"),
    "not_allowed": (4, "refused"),
    "aborted": (4, "refused"),
    "unhealthy": (6, "unhealthy"),
    "turned_back": (7, "rolled_back"),
    "locked": (8, "refused"),
    "needs_human": (10, "unhealthy"),
    "unexpected": (1, "refused"),
}


class HostFailed(TealError):
    """A Failure of the server side, as an exception here."""

    def __init__(self, failure: "Failure") -> None:
        super().__init__(failure.message, failure.evidence, failure.hint)
        self.failure = failure
        self.exit_code, self.outcome = _BY_CODE.get(failure.code, (1, "refused"))
