"""What the looking commands answer: pictures of what is, as values."""

from typing import Annotated, Dict, Iterator, Literal, Optional, Tuple

from teal_host.wire.grammar import COLORS, AppName, Digest, EnvName, ReleaseName, between
from teal_host.wire.grammar import Color as Color  # noqa: PLC0414 - said so that others may import it from here
from teal_host.wire.manifest import Count, Origin
from teal_host.wire.outcomes import CommandOutcome, ReleaseOutcome
from teal_host.wire.site_grammar import Domain, Port
from teal_host.wire.typed import Mistake
from teal_host.wire.upward import (
    MOST_ITEMS,
    Address,
    EnvDigest,
    Label,
    MarkWord,
    Moment,
    ProcessId,
    Text,
    Texts,
    Url,
    at_most,
)
from teal_host.wire.values import dataclass

PROBE_HEADER = "X-Teal-Probe"  # with the app's token: which color answered; with the question of a mark: its answer
ANSWERED_HEADER = "X-Teal-Answered-By"
MOST_ENDS = 10  # different ends in succession, of one program


@dataclass(frozen=True)
class EndsReport:
    """`how` a program ended so many times in succession, the first and the last time."""

    how: Text
    times: Count
    since: Moment
    last: Moment


@dataclass(frozen=True)
class RestartsReport:
    """The supervisor starts a program again after each end. `since`: the first end. `ends`: the newest last."""

    since: Moment
    times: Count
    ends: Annotated[Tuple[EndsReport, ...], at_most(MOST_ENDS)]

    def __str__(self) -> str:
        ends = ", ".join(f"{end.how}{_times(end.times)}" for end in self.ends)
        return f"since {self.since[:19].replace('T', ' ')} UTC it ended {_times(self.times, '', '')}: {ends}"


def _times(count: int, before: str = " (", after: str = ")") -> str:
    often = "twice" if count == 2 else f"{count} times"
    return ("" if before else "once") if count == 1 else f"{before}{often}{after}"


@dataclass(frozen=True)
class ColorReport:
    """`restarts`: of a program that ended, and that the supervisor starts again and again; else null. `taken_by`: who
    else listens there; else null. `socket`: the path of the unix socket on which it listens; then `port` is null.
    """

    release: Optional[ReleaseName]
    port: Optional[Port]
    state: Literal["running", "stopped", "failed", "empty"]
    pid: Optional[ProcessId] = None
    since: Optional[Moment] = None
    restarts: Optional[RestartsReport] = None
    taken_by: Optional[Text] = None
    socket: Optional[Text] = None


@dataclass(frozen=True)
class LastReport:
    """How the last deploy or rollback ended: also for a client that had lost contact. `message` is why, if not well."""

    command: Literal["deploy", "rollback"]
    release: Optional[ReleaseName]
    outcome: CommandOutcome
    at: Moment
    message: Text = ""


@dataclass(frozen=True)
class FallbackReport:
    """`color`: which one answers GET and HEAD where the live one gives no answer; null: none.

    `answered`: how many requests, since the switch or since the log was rotated; null where nginx cannot log that.
    """

    color: Optional[Color]
    answered: Optional[Count] = None
    since: Optional[Moment] = None
    last: Optional[Moment] = None


@dataclass(frozen=True)
class StatusReport:
    """`fallback`: null where nginx's file knows none, as before a first deploy."""

    app: AppName
    live: Optional[Color]
    colors: Annotated[Dict[Color, ColorReport], at_most(len(COLORS))]
    previous: Optional[ReleaseName]
    url: Optional[Url]
    notes: Texts = ()
    last: Optional[LastReport] = None
    fallback: Optional[FallbackReport] = None

    def mistakes(self) -> Iterator[Mistake]:
        for color in COLORS:
            if color not in self.colors:
                yield Mistake(f"colors.{color}", "is missing")


@dataclass(frozen=True)
class ReleaseRow:
    """`live`: this release serves now. `stored`: its files are still on the server."""

    release: ReleaseName
    seq: Annotated[int, between(0, 999_999_999)]
    digest: Digest
    bytes: Count
    at: Moment
    outcome: ReleaseOutcome
    origin: Origin
    env: EnvDigest
    color: Optional[Color] = None
    live: bool = False
    stored: bool = True


@dataclass(frozen=True)
class UnreadableRow:
    """A release whose record cannot be read. `file` is the record, `why` what is wrong with it."""

    release: ReleaseName
    file: Text
    why: Text


@dataclass(frozen=True)
class ReleasesReport:
    app: AppName
    releases: Annotated[Tuple[ReleaseRow, ...], at_most(MOST_ITEMS)]
    unreadable: Annotated[Tuple[UnreadableRow, ...], at_most(MOST_ITEMS)] = ()


@dataclass(frozen=True)
class EnvRow:
    """A name of `teal env`; its value is never told. `since` is when it was set, in UTC.

    `live`: the live release runs with exactly this value.
    """

    name: EnvName
    since: Moment
    live: bool


@dataclass(frozen=True)
class EnvReport:
    """`pending`: a deploy would take values that the live release does not run with, or leave some out."""

    app: AppName
    names: Annotated[Tuple[EnvRow, ...], at_most(MOST_ITEMS)]
    pending: bool


@dataclass(frozen=True)
class Finding:
    """One thing that the doctor looked at. `hint` is what to type; `evidence` lines that show it, such as a diff."""

    what: Label
    state: Literal["ok", "warning", "fault"]
    message: Text
    hint: Text = ""
    evidence: Texts = ()


@dataclass(frozen=True)
class SiteMark:
    """By it a client recognizes an app's site. To a PROBE_HEADER that is `question`, only that site replies with an
    ANSWERED_HEADER that is `answer`. Both are no secret: they follow from the token, which does not follow from them.
    """

    question: MarkWord
    answer: MarkWord


@dataclass(frozen=True)
class Entrance:
    """Where visitors enter, for a client that tries it. `addresses`: the server's own. `mark`: None while nginx has a
    file of an older Teal."""

    url: Url
    addresses: Annotated[Tuple[Address, ...], at_most(MOST_ITEMS)] = ()
    mark: Optional[SiteMark] = None


@dataclass(frozen=True)
class HttpsReport:
    """`names` have a certificate that nginx serves. `why`: what keeps the others from it."""

    state: Literal["ready", "pending", "none"]
    names: Annotated[Tuple[Domain, ...], at_most(MOST_ITEMS)] = ()
    why: Text = ""


@dataclass(frozen=True)
class DoctorReport:
    """`addresses`: the server's own, for the client to compare with those of the domains.

    `entrance`: None while nothing is live.
    """

    app: AppName
    findings: Annotated[Tuple[Finding, ...], at_most(MOST_ITEMS)]
    addresses: Annotated[Tuple[Address, ...], at_most(MOST_ITEMS)] = ()
    entrance: Optional[Entrance] = None


@dataclass(frozen=True)
class Change:
    """One thing that setup does. `edited`: a hand has changed what Teal wrote, and it would be overwritten.

    `unserves`: domains that the app serves now, none of which it would serve any more. `text`: of a new file.
    `downgrades`: a newer Teal wrote what would be overwritten.
    """

    message: Text
    diff: Texts = ()
    edited: bool = False
    unserves: Annotated[Tuple[Domain, ...], at_most(MOST_ITEMS)] = ()
    text: Texts = ()
    downgrades: bool = False
