"""What the looking commands answer: pictures of what is, as values."""

from typing import Dict, Literal, Optional, Tuple

from teal_host.wire.manifest import Origin
from teal_host.wire.values import dataclass

Color = Literal["blue", "green"]
Ended = Literal["live", "unhealthy", "rolled_back", "refused"]


@dataclass(frozen=True)
class ColorReport:
    release: Optional[str]
    port: Optional[int]
    state: Literal["running", "stopped", "failed", "empty"]
    pid: Optional[int] = None
    since: Optional[str] = None


@dataclass(frozen=True)
class LastReport:
    """How the last deploy or rollback ended: also for a client that had lost contact. `says` is why, if not well."""

    command: Literal["deploy", "rollback"]
    release: Optional[str]
    outcome: Ended
    at: str
    says: str = ""


@dataclass(frozen=True)
class StatusReport:
    app: str
    live: Optional[Color]
    colors: Dict[str, ColorReport]
    previous: Optional[str]
    url: Optional[str]
    notes: Tuple[str, ...] = ()
    last: Optional[LastReport] = None


@dataclass(frozen=True)
class ReleaseRow:
    """`left`: it was good, and a person has rolled back from it; its outcome is `turned_back` all the same."""

    release: str
    seq: int
    digest: str
    bytes: int
    at: str
    outcome: Literal["pending", "good", "refused", "turned_back"]
    origin: Origin
    env: str
    color: Optional[Color] = None
    live: bool = False
    stored: bool = True
    left: bool = False


@dataclass(frozen=True)
class ReleasesReport:
    app: str
    releases: Tuple[ReleaseRow, ...]


@dataclass(frozen=True)
class EnvRow:
    """A name of `teal env`; its value is never told. `since` is when it was set, in UTC.

    `live`: the live release runs with exactly this value.
    """

    name: str
    since: str
    live: bool


@dataclass(frozen=True)
class EnvReport:
    """`pending`: a deploy would take values that the live release does not run with, or leave some out."""

    app: str
    names: Tuple[EnvRow, ...]
    pending: bool


@dataclass(frozen=True)
class Finding:
    """One thing that the doctor looked at. `hint` is what to type; `evidence` lines that show it, such as a diff."""

    what: str
    state: Literal["ok", "warning", "fault"]
    says: str
    hint: str = ""
    evidence: Tuple[str, ...] = ()


@dataclass(frozen=True)
class DoctorReport:
    """`addresses`: the server's own, for the client to compare with those of the domains."""

    app: str
    findings: Tuple[Finding, ...]
    addresses: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """One thing that setup does. `edited`: a hand has changed what Teal wrote, and it would be overwritten.

    `unserves`: domains that the app serves now, none of which it would serve any more. `text`: of a new file.
    """

    says: str
    diff: Tuple[str, ...] = ()
    edited: bool = False
    unserves: Tuple[str, ...] = ()
    text: Tuple[str, ...] = ()
