"""The one list of outcomes: for records, the journal, messages, JSON, schemas and documents."""

from typing import Dict, Literal, Tuple

CommandOutcome = Literal["live", "unchanged", "refused", "unhealthy", "rolled_back", "superseded", "unknown"]
"""How a command ended. `unknown`: contact was lost after the commit, so only the client says it.

`superseded`: a rollback ended its watch and takes the traffic.
"""

FailedOutcome = Literal["refused", "unhealthy", "rolled_back", "superseded"]
"""How a command failed on the server side, and with it the release that it deployed."""

ReleaseOutcome = Literal["pending", "live", "refused", "unhealthy", "rolled_back", "superseded"]
"""How the deploy of a release ended. `pending`: it has not ended. `live`: the release went live and stayed well.

`rolled_back`: Teal went back from it by itself. `superseded`: a rollback replaced it.
"""

FailureCode = Literal[
    "unexpected", "usage", "not_there", "config", "not_allowed", "cancelled", "unhealthy", "rolled_back", "superseded",
    "locked", "needs_human",
]  # fmt: skip
"""Why a command failed."""

FAILURES: Dict[FailureCode, Tuple[int, FailedOutcome]] = {
    "unexpected": (1, "refused"),
    "usage": (2, "refused"),
    "not_there": (2, "refused"),
    "config": (3, "refused"),
    "not_allowed": (4, "refused"),
    "cancelled": (4, "refused"),
    "unhealthy": (6, "unhealthy"),
    "rolled_back": (7, "rolled_back"),
    "superseded": (7, "superseded"),
    "locked": (8, "refused"),
    "needs_human": (10, "unhealthy"),
}
"""The exit code and the outcome of a command that failed on the server side."""
