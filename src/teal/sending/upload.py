"""Sends what the server side asks for: each file as a patch to one that it has, or whole, whichever is there sooner."""

import operator
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from teal.building import executable
from teal.building.artifact import Artifact
from teal.ground.errors import CannotReach
from teal.pipe.session import Session, not_trusted
from teal.sending import cache, strategy
from teal.sending.cache import Sent
from teal.sending.compression import packer
from teal.sending.patches import NoPatch, Patch, Patches, is_worth_it, pack
from teal.sending.strategy import Way
from teal.ui.base import Progress, Ui, size
from teal_host.wire.manifest import Entry, Manifest
from teal_host.wire.messages import Note, Step
from teal_host.wire.typed import Mistake, Mistakes
from teal_host.wire.uploads import Base, Block, Part, Taken, Wanted

_BLOCK = 256 * 1024  # bytes in one message
_MOST_ASKED = 3  # times; a server side asks a second time for what did not arrive whole
_MEASURABLE = 256 * 1024  # bytes: fewer say nothing of a line's speed
_COMPRESSED_DEBUG = (
    "{} has compressed debug sections, so a small change in the source changes most of it: "
    "leave them out (Go: -ldflags=-s -w) or uncompressed (Go: -ldflags=-compressdwarf=false)"
)


@dataclass(frozen=True)
class Goal:
    """Where it goes: what the line's speed and the last upload are remembered for."""

    target: str
    app: str


class Upload:
    def __init__(self, session: Session, artifact: Artifact, goal: Goal, ui: Ui) -> None:
        self._session, self._artifact, self._goal, self._ui = session, artifact, goal, ui
        self._line = strategy.line(goal.target, cache.speed(goal.target))
        self._patches = Patches(artifact, self._line)
        self._warned = False
        self._sent = self._taken = 0  # bytes of blocks: written, arrived
        self._later = self._ahead = 0  # bytes that are expected: of the parts after this one, and still of this one
        self._began = 0.0  # with the first part
        self._packed_s = 0.0  # were spent on packing
        self._asked = 0  # times, by the server

    def make_ahead(self, enough: Callable[[], bool]) -> None:
        """What will probably be sent, while the connection is still being opened."""
        if self._goal.target != "local":  # from here to here there is nothing to wait for
            self._patches.make_ahead(cache.last(self._goal.target, self._goal.app), enough)

    def send(self, wanted: Wanted) -> None:
        """All that is missing. Raises PipeEnded, HostFailed, and CannotReach for what this artifact does not have."""
        self._asked += 1
        mistakes = [*wanted_mistakes(wanted, self._artifact.manifest), *_asked_too_often(self._asked)]
        if mistakes:
            raise not_trusted(self._goal.target, Mistakes(mistakes))
        parts = _Parts(wanted, self._artifact)
        self._later = sum(self._way(parts.rest(place), wanted).bytes for place in wanted.missing)
        waiting: list[int] = []
        for place in wanted.missing:
            patch = self._patch(place, parts)
            if patch is None:
                waiting.append(place)
                continue
            self._whole(waiting, parts)
            waiting = []
            self._later -= self._way(parts.rest(place), wanted).bytes
            self._session.send(Part(1, patch.packing, patch.base.sha256))
            self._blocks(patch.packed, partial(operator.sub, patch.bytes))
        self._whole(waiting, parts)

    def heard(self, message: Taken) -> None:
        """So much has arrived."""
        self._taken = message.bytes
        self._tell()

    def arrived(self) -> None:
        """All of it: remember how fast that was, and keep what the next patch can be made from.

        While a patch is made the line rests, and to this machine there is none, so that would say nothing of its speed.
        """
        seconds = time.monotonic() - self._began
        if self._sent:
            self._taken, self._later, self._ahead = self._sent, 0, 0
            self._tell()
        if self._sent >= _MEASURABLE and seconds > 0 and not self._patches.made and self._goal.target != "local":
            cache.remember_speed(self._goal.target, strategy.speed(self._sent, seconds, self._packed_s))
        files = [entry for entry in self._artifact.manifest.entries if entry.kind == "file"]
        cache.keep(Sent(self._artifact.root / entry.path, entry.size, entry.sha256) for entry in files)
        cache.remember_last(self._goal.target, self._goal.app, files)

    def _way(self, rest: int, wanted: Wanted) -> Way:
        return strategy.whole(rest, self._line, wanted.packings)

    def _patch(self, place: int, parts: "_Parts") -> Patch | None:
        """None when it goes whole; why is told."""
        entry, rest = parts.entry(place), parts.rest(place)
        bases = parts.bases(entry)
        if not bases:
            return None
        whole = self._way(rest, parts.wanted)
        found = self._patches.find(entry, rest, bases, parts.wanted.packings)
        if isinstance(found, Patch) or found.tried:
            self._warn_of_debug(entry)
        if isinstance(found, NoPatch):
            self._ui.why(f"{entry.path}: whole, {whole.packing}, at {self._speed}: {found.why}")
            return None
        told = f"a patch of {found.bytes:,} bytes ({found.packing}) to {found.base.sha256[:12]}"
        instead = f"whole about {size(whole.bytes)} and {whole.seconds:.1f} s"
        self._ui.why(f"{entry.path}: {told}; {instead} at {self._speed}")
        return found

    def _warn_of_debug(self, entry: Entry) -> None:
        if not self._warned and executable.debug_is_compressed(self._artifact.root / entry.path):
            self._warned = True
            self._ui.note(Note("warning", _COMPRESSED_DEBUG.format(entry.path)))

    @property
    def _speed(self) -> str:
        return f"{size(round(self._line.bytes_s))}/s ({self._line.known})"

    def _whole(self, places: list[int], parts: "_Parts") -> None:
        """These one behind the other, as one part."""
        if not places:
            return
        way = self._way(sum(parts.rest(place) for place in places), parts.wanted)
        self._later -= sum(self._way(parts.rest(place), parts.wanted).bytes for place in places)
        self._session.send(Part(len(places), way.packing))
        read = _Read(parts.pieces(places), sum(parts.rest(place) for place in places))
        self._blocks(pack(packer(way.packing), read), read.expected)

    def _blocks(self, packed: Iterable[bytes], expected: Callable[[int], int]) -> None:
        """Sends the part, and hears meanwhile what is said. `expected`: after so many of its bytes, how many more."""
        self._began = self._began or time.monotonic()
        waiting, before = b"", self._sent
        for piece in self._timed(packed):
            waiting += piece
            while len(waiting) > _BLOCK:
                self._block(waiting[:_BLOCK])
                waiting = waiting[_BLOCK:]
                self._ahead = expected(self._sent - before)
        self._block(waiting, last=True)
        self._ahead = 0

    def _timed(self, packed: Iterable[bytes]) -> Iterator[bytes]:
        began = time.monotonic()
        for piece in packed:
            self._packed_s += time.monotonic() - began
            yield piece
            began = time.monotonic()

    def _block(self, body: bytes, last: bool = False) -> None:
        self._session.send(Block(last), body)
        self._sent += len(body)
        while self._session.says_something():
            self._hear(self._session.receive())

    def _hear(self, message: Any) -> None:
        if isinstance(message, Taken):
            self.heard(message)
        elif isinstance(message, Step):
            self._ui.step(message)
        elif isinstance(message, Note):
            self._ui.note(message)
        else:
            raise CannotReach(f"the server side says {type(message).__name__} in the middle of an upload")

    def _tell(self) -> None:
        seconds = time.monotonic() - self._began
        total = max(self._sent + self._ahead + max(0, self._later), self._taken)
        self._ui.progress(Progress("upload", self._taken, total, self._taken / seconds if seconds > 0 else 0.0))


def wanted_mistakes(wanted: Wanted, manifest: Manifest) -> Iterator[Mistake]:
    """What a server cannot want of this artifact: a place that no file has, a file twice, more than a file has."""
    sizes = {place: entry.size for place, entry in enumerate(manifest.entries) if entry.kind == "file"}
    missing = set(wanted.missing)
    for place in sorted(missing - sizes.keys()):
        yield Mistake("missing", f"the artifact has no file {place}")
    if len(missing) < len(wanted.missing):
        yield Mistake("missing", "has a file twice")
    for begun in wanted.begun:
        if begun.place not in missing or begun.bytes > sizes.get(begun.place, 0):
            yield Mistake("begun", f"{begun.bytes:,} bytes of file {begun.place} cannot have arrived")


def _asked_too_often(times: int) -> Iterator[Mistake]:
    if times > _MOST_ASKED:
        yield Mistake("missing", f"is asked for the {times}th time")


class _Parts:
    """What is wanted, looked up."""

    def __init__(self, wanted: Wanted, artifact: Artifact) -> None:
        self.wanted = wanted
        self._artifact = artifact
        self._begun = {begun.place: begun.bytes for begun in wanted.begun}
        self._bases: dict[str, list[Base]] = {}
        for base in wanted.bases:
            self._bases.setdefault(base.path, []).append(base)

    def entry(self, place: int) -> Entry:
        return self._artifact.manifest.entries[place]

    def rest(self, place: int) -> int:
        """Bytes that are not there yet."""
        return max(0, self.entry(place).size - self._begun.get(place, 0))

    def bases(self, entry: Entry) -> list[Base]:
        return self._bases.get(entry.path, []) if is_worth_it(entry) else []

    def pieces(self, places: list[int]) -> Iterator[bytes]:
        for place in places:
            with (self._artifact.root / self.entry(place).path).open("rb") as file:
                file.seek(self._begun.get(place, 0))
                while piece := file.read(_BLOCK):
                    yield piece


class _Read:
    """The pieces of files, counted, so that what is still to come can be told from how well it was packed so far."""

    def __init__(self, pieces: Iterator[bytes], size: int) -> None:
        self._pieces, self._size, self._done = pieces, size, 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._done += len(piece)
            yield piece

    def expected(self, sent: int) -> int:
        return max(0, round((self._size - self._done) * sent / self._done)) if self._done else 0
