"""Every message, by name: requests downward, events and one answer upward.

A conversation is: greeting, one request, then events until one answer or one Failure. A deploy has a middle: the server
side answers Wanted, the client sends the blocks and Commit; from then on the server side finishes alone.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, Dict, Iterator, Literal, Optional, Tuple, Type

from teal_host.wire import typed
from teal_host.wire.app import AppSpec
from teal_host.wire.frames import Frame, FrameError
from teal_host.wire.grammar import AppName, DeployId, Digest, FilePath, Line, ReleaseName, ReleaseReference, between
from teal_host.wire.typed import Mistake

MAX_FILES = 40_000
MAX_BYTES = 4 * 1024**3  # of one artifact, unpacked

Color = Literal["blue", "green"]
Count = Annotated[int, between(0, MAX_BYTES)]
Seconds = Annotated[float, between(0, 86_400)]


@dataclass(frozen=True)
class Entry:
    """One file or directory of an artifact. Nothing else can travel: no link, no device, no mode but executable."""

    path: FilePath
    kind: Literal["file", "dir"] = "file"
    size: Count = 0
    sha256: str = ""
    executable: bool = False

    def mistakes(self) -> Iterator[Mistake]:
        if (self.kind == "file") != (len(self.sha256) == 64):
            yield Mistake("sha256", "must be there for a file, and only for a file")
        if self.kind == "dir" and self.size:
            yield Mistake("size", "must be 0 for a directory")


@dataclass(frozen=True)
class Manifest:
    """What an artifact holds, in the order in which its bytes are sent."""

    digest: Digest
    entries: Tuple[Entry, ...]

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry in self.entries)

    def mistakes(self) -> Iterator[Mistake]:
        if self.digest != digest_of(self.entries):
            yield Mistake("digest", "is not that of the entries")
        if not self.entries:
            yield Mistake("entries", "is empty; an artifact has at least one file")
        if len(self.entries) > MAX_FILES:
            yield Mistake("entries", f"are {len(self.entries):,}; at most {MAX_FILES:,} can be sent")
        if self.bytes > MAX_BYTES:
            yield Mistake("entries", f"hold {self.bytes:,} bytes; at most {MAX_BYTES:,} can be sent")
        yield from _path_mistakes(self.entries)


def digest_of(entries: Tuple[Entry, ...]) -> str:
    """The SHA-256 that names this content: of paths, kinds, sizes, digests and executable bits, in order."""
    return hashlib.sha256(json.dumps(typed.encode(entries), sort_keys=True).encode()).hexdigest()


def _path_mistakes(entries: Tuple[Entry, ...]) -> Iterator[Mistake]:
    """Two entries of one path, or a file where another entry needs a directory."""
    kinds: Dict[str, str] = {}
    for entry in entries:
        if entry.path in kinds:
            yield Mistake("entries", f"hold {entry.path!r} twice")
        kinds[entry.path] = entry.kind
    for path in kinds:
        parents = path.split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            if kinds.get("/".join(parents[:depth])) == "file":
                yield Mistake("entries", f"hold {path!r} below a file")


@dataclass(frozen=True)
class Origin:
    """Where a command comes from: shown to the second comer of a lock, and in `teal releases`."""

    who: Line = ""
    machine: Line = ""
    commit: Line = ""
    dirty: bool = False
    teal: Line = ""


# --- requests -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deploy:
    spec: AppSpec
    manifest: Manifest
    origin: Origin
    id: DeployId
    wait_s: Seconds = 0.0
    dry_run: bool = False


@dataclass(frozen=True)
class Rollback:
    app: AppName
    origin: Origin
    id: DeployId
    release: Optional[ReleaseReference] = None
    wait_s: Seconds = 0.0


@dataclass(frozen=True)
class Status:
    app: AppName


@dataclass(frozen=True)
class Releases:
    app: AppName


@dataclass(frozen=True)
class Logs:
    app: AppName
    color: Optional[Color] = None
    lines: Annotated[int, between(0, 100_000)] = 100
    follow: bool = False


@dataclass(frozen=True)
class Destroy:
    app: AppName
    origin: Origin
    wait_s: Seconds = 0.0


@dataclass(frozen=True)
class Block:
    """The next bytes of the upload, in the frame's body; `last` closes it."""

    last: bool = False


@dataclass(frozen=True)
class Commit:
    """The point of no return for the client: the server side finishes alone from here."""


# --- events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Greeting:
    """The first frame: which machine this is."""

    python: str
    system: str
    machine: str
    pid: int


@dataclass(frozen=True)
class Step:
    """A step of a story began or ended. `seconds` is its duration, known at the end."""

    name: str
    state: Literal["started", "done", "failed"]
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class Note:
    level: Literal["info", "warning"]
    text: str


@dataclass(frozen=True)
class Wanted:
    """May the client send the artifact, or is it here already? With the release that it will become."""

    upload: bool
    release: ReleaseName


@dataclass(frozen=True)
class LogLine:
    color: Color
    release: str
    text: str


# --- answers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """How a deploy or rollback ended. `previous` is where `teal rollback` would go now."""

    outcome: Literal["live", "unchanged", "planned"]
    release: Optional[str] = None
    color: Optional[Color] = None
    previous: Optional[str] = None
    url: str = ""
    plan: Tuple[str, ...] = ()


@dataclass(frozen=True)
class ColorReport:
    release: Optional[str]
    port: Optional[int]
    state: Literal["running", "stopped", "failed", "empty"]
    pid: Optional[int] = None
    since: Optional[str] = None


@dataclass(frozen=True)
class StatusReport:
    app: str
    live: Optional[Color]
    colors: Dict[str, ColorReport]
    previous: Optional[str]
    url: Optional[str]
    notes: Tuple[str, ...] = ()


@dataclass(frozen=True)
class ReleaseRow:
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


@dataclass(frozen=True)
class ReleasesReport:
    app: str
    releases: Tuple[ReleaseRow, ...]


@dataclass(frozen=True)
class Done:
    """The answer of a command that has nothing more to tell."""

    said: str = ""


FailureCode = Literal[
    "usage", "config", "not_allowed", "not_there", "unhealthy", "turned_back", "locked", "needs_human",
    "unexpected", "aborted", "broken_pipe",
]  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """Why a command failed: what, the evidence, and what to type next. The code decides the exit code."""

    code: FailureCode
    message: str
    evidence: Tuple[str, ...] = ()
    hint: str = ""
    release: Optional[str] = None
    color: Optional[Color] = None
    previous: Optional[str] = None


REQUESTS: Tuple[Type[Any], ...] = (Deploy, Rollback, Status, Releases, Logs, Destroy)
MIDDLE: Tuple[Type[Any], ...] = (Block, Commit)
EVENTS: Tuple[Type[Any], ...] = (Greeting, Step, Note, Wanted, LogLine)
ANSWERS: Tuple[Type[Any], ...] = (Result, StatusReport, ReleasesReport, Done, Failure)


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
