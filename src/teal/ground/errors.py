"""Everything that can go wrong for a user, as a small tree. Each error has a message, evidence and a hint to type.

TealError
├── Usage            the command line makes no sense                              → exit 2
├── ConfigError      teal.toml has mistakes, or names a file that does not exist   → exit 3
├── CannotReach      no server side answers                                        → exit 4
│   └── StrangeAnswer  what no server side of Teal sends; after commit a ContactLost → exit 4
├── BuildFailed      the build command failed                                      → exit 5
├── HostFailed       the server side reports a failure; its code decides           → exit 1, 2, 3, 4, 6, 7, 8, 10
├── ContactLost      after commit: the outcome is not known here                   → exit 9
└── Interrupted      Ctrl-C                                                        → exit 130
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from teal_host.wire.outcomes import FAILURES

if TYPE_CHECKING:
    from teal_host.wire.messages import Failure
    from teal_host.wire.outcomes import CommandOutcome


class TealError(Exception):
    exit_code = 1
    outcome: "CommandOutcome" = "refused"
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


class StrangeAnswer(CannotReach):
    """After a commit it says nothing about the outcome, so `lost` makes a ContactLost of it."""

    def lost(self, unknown: str, hint: str) -> "ContactLost":
        return ContactLost(f"{self.message}; {unknown}", self.evidence, self.hint or hint)


class BuildFailed(TealError):
    exit_code = 5


class ContactLost(TealError):
    exit_code = 9
    outcome = "unknown"


class Interrupted(TealError):
    exit_code = 130


class HostFailed(TealError):
    """A Failure of the server side, as an exception here."""

    def __init__(self, failure: "Failure") -> None:
        super().__init__(failure.message, failure.evidence, failure.hint)
        self.failure = failure
        self.exit_code, self.outcome = FAILURES[failure.code]
