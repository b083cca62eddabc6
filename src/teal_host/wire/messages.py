"""Every message, by name: requests downward, events and one answer upward.

A conversation is a greeting, one request, then events until one answer or one Failure. In the middle of a deploy the
server side sends MissingFiles, and the client sends the parts and Commit; from then on the server side finishes alone.
While the build runs, the client sends Intended, and the server side replies only to reject the deploy.

The client believes nothing that a server sends: each field of an event or answer has a grammar or a bound. `Text` is
only ever shown; every other word has a form in which it is harmless wherever the client puts it.
"""

from typing import Annotated, Any, Dict, Literal, Optional, Tuple, Type

from teal_host.wire import typed
from teal_host.wire.frames import PROTOCOL, Frame, FrameError
from teal_host.wire.grammar import EnvName, ReleaseName, between
from teal_host.wire.outcomes import FailureCode
from teal_host.wire.reports import (
    Change,
    Color,
    DoctorReport,
    Entrance,
    EnvReport,
    HttpsReport,
    ReleasesReport,
    StatusReport,
)
from teal_host.wire.uploads import MissingFiles, Taken
from teal_host.wire.upward import (
    MOST_ITEMS,
    Address,
    Duration,
    Label,
    Libc,
    MachineName,
    MarkWord,
    ProcessId,
    ReleaseOrNone,
    Text,
    Texts,
    Url,
    VersionNumber,
    at_most,
)
from teal_host.wire.values import dataclass

WINDOW = 256 * 1024  # bytes of a command's input that may be on their way, so that Enough never waits behind them
ALIVE_EVERY_S = 30.0  # a client of a command sends at least an empty Input
GONE_AFTER_S = 900.0  # of silence: a laptop may sleep for a while
OVERTAKEN = "a rollback overtakes it"  # the detail of a step that gave way
PIECE = 64 * 1024  # bytes of a command's input or output in one message


# --- events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Greeting:
    """The first frame: which machine this is. `libc` such as "glibc 2.36"; empty where it cannot be told."""

    python: VersionNumber
    system: MachineName
    machine: MachineName
    pid: ProcessId
    protocol: Annotated[int, between(0, 1_000_000)] = PROTOCOL
    libc: Libc = ""


@dataclass(frozen=True)
class Step:
    """A step of a story began or ended. `seconds` is its duration, known at the end."""

    name: Label
    state: Literal["started", "done", "failed"]
    seconds: Duration = 0.0
    detail: Text = ""


@dataclass(frozen=True)
class Note:
    level: Literal["info", "warning"]
    text: Text


@dataclass(frozen=True)
class LogLine:
    color: Color
    release: ReleaseOrNone
    text: Text


@dataclass(frozen=True)
class Output:
    """Bytes that a command wrote, in the frame's body."""

    stream: Literal["stdout", "stderr"]


@dataclass(frozen=True)
class More:
    """The client may send so many more bytes of the command's standard input."""

    bytes: Annotated[int, between(0, WINDOW)]


@dataclass(frozen=True)
class Plan:
    """What setup would do, in order; empty when everything is as it should be."""

    changes: Annotated[Tuple[Change, ...], at_most(MOST_ITEMS)]


@dataclass(frozen=True)
class AskNames:
    """Setup has put `content` into `file` of the site: at which names of teal.toml does the client see it?

    `addresses`: the server's own. A server does not choose whom the client asks.
    """

    file: MarkWord
    content: MarkWord
    addresses: Annotated[Tuple[Address, ...], at_most(MOST_ITEMS)] = ()


# --- answers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """How a deploy or rollback ended. `previous` is where `teal rollback` would go now.

    `plan`: what a dry run says instead of doing it; its outcome is `unchanged`. `entrance`: after a first deploy.
    `replaced`: the newer release that a rollback went back from; a rollback to it is the way forward. `old_secrets`: of
    `deploy --evict`, to be set anew.
    """

    outcome: Literal["live", "unchanged"]
    release: Optional[ReleaseName] = None
    color: Optional[Color] = None
    previous: Optional[ReleaseName] = None
    url: Url = ""
    plan: Texts = ()
    entrance: Optional[Entrance] = None
    replaced: Optional[ReleaseName] = None
    old_secrets: Annotated[Tuple[EnvName, ...], at_most(MOST_ITEMS)] = ()


@dataclass(frozen=True)
class Exited:
    """How a command of `teal exec` ended: 128 and the signal's number when by one. `message`: why it never ran."""

    code: Annotated[int, between(0, 255)]
    message: Text = ""


@dataclass(frozen=True)
class Done:
    """The answer of a command that has nothing more to tell. `https`: of setup."""

    message: Text = ""
    https: Optional[HttpsReport] = None


@dataclass(frozen=True)
class Failure:
    """Why a command failed: what, the evidence, and what to type next. The code decides the exit code."""

    code: FailureCode
    message: Text
    evidence: Texts = ()
    hint: Text = ""
    release: Optional[ReleaseName] = None
    color: Optional[Color] = None
    previous: Optional[ReleaseName] = None


EVENTS: Tuple[Type[Any], ...] = (Greeting, Step, Note, MissingFiles, Taken, LogLine, Output, More, Plan, AskNames)
ANSWERS: Tuple[Type[Any], ...] = (
    Result, StatusReport, ReleasesReport, EnvReport, DoctorReport, Exited, Done, Failure,
)  # fmt: skip


def to_header(message: Any) -> Dict[str, Any]:
    return {"type": type(message).__name__.lower(), **typed.encode(message)}


def from_frame(frame: Frame, expected: Tuple[Type[Any], ...]) -> Any:
    """The message in a frame, if it is one of those expected now. Raises FrameError or Mistakes."""
    header = dict(frame.header)
    name = header.pop("type", None)
    for kind in expected:
        if kind.__name__.lower() == name:
            return typed.decode(kind, header)
    raise FrameError(f"a message {str(name)[:40]!r} is not expected here")
