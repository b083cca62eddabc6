"""What an artifact holds and needs, and where a command comes from: the values that messages and records carry."""

import hashlib
import json
from typing import Annotated, Dict, Iterator, Literal, Optional, Tuple

from teal_host.wire import typed
from teal_host.wire.grammar import Digest, FilePath, Line, ProgramName, ProgramPath, between
from teal_host.wire.typed import Mistake
from teal_host.wire.values import dataclass

MAX_FILES = 40_000
MAX_BYTES = 4 * 1024**3  # of one artifact, unpacked

Count = Annotated[int, between(0, MAX_BYTES)]


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
class Needs:
    """What the program needs of the server, or it cannot start: a file, by its path, and a name on PATH."""

    file: Optional[ProgramPath] = None
    finds: Optional[ProgramName] = None


@dataclass(frozen=True)
class Origin:
    """Where a command comes from: shown to the second comer of a lock, and in `teal releases`."""

    who: Line = ""
    machine: Line = ""
    commit: Line = ""
    dirty: bool = False
    teal: Line = ""
