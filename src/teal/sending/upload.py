"""Sends the files that the server side asks for: each as a patch or whole, whichever arrives sooner."""

import operator
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from teal.building import executable
from teal.building.artifact import Artifact
from teal.ground.errors import StrangeAnswer
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
from teal_host.wire.uploads import Block, MissingFiles, Part, PatchBase, Taken

_BLOCK = 256 * 1024  # bytes in one message
_MOST_REQUESTS = 3  # times; a server side asks again for files that arrived damaged
_MEASURABLE = 256 * 1024  # bytes: fewer say nothing about the speed of the line
_SMALL_PATCH = 1 / 10  # of the file; while patches are as small, compressed debug sections do no harm
_COMPRESSED_DEBUG = (
    "{} has compressed debug sections, so a small change in the source changes most of it: "
    "leave them out (Go: -ldflags=-s -w) or uncompressed (Go: -ldflags=-compressdwarf=false)"
)


@dataclass(frozen=True)
class UploadTarget:
    """Where an upload goes. The speed of the line and the files of the last upload are remembered for it."""

    address: str
    app: str


class Uploader:
    def __init__(self, session: Session, artifact: Artifact, target: UploadTarget, ui: Ui) -> None:
        self._session, self._artifact, self._target, self._ui = session, artifact, target, ui
        self._line = strategy.line(target.address, cache.speed(target.address))
        self._patches = Patches(artifact, self._line)
        self._warned = False
        self._sent = self._taken = 0  # bytes of blocks: written, and confirmed as arrived
        self._later = self._ahead = 0  # bytes that are still expected: of later parts, of this part
        self._began = 0.0  # with the first part
        self._packed_s = 0.0  # seconds spent on packing
        self._requests = 0  # of the server, for files

    def prepare_patches(self, enough: Callable[[], bool]) -> None:
        """Make the patches that will probably be sent, until the connection is open."""
        if self._target.address != "local":  # a local upload takes no time
            self._patches.prepare(cache.last(self._target.address, self._target.app), enough)

    def send(self, wanted: MissingFiles) -> None:
        """Send all missing files. Raises PipeEnded, HostFailed; StrangeAnswer for a file that this artifact lacks."""
        self._requests += 1
        mistakes = [*wanted_mistakes(wanted, self._artifact.manifest), *_too_many_requests(self._requests)]
        if mistakes:
            raise not_trusted(self._target.address, Mistakes(mistakes))
        parts = _Parts(wanted, self._artifact)
        self._later = sum(self._way(parts.rest(index), wanted).bytes for index in wanted.missing)
        waiting: list[int] = []
        for index in wanted.missing:
            patch = self._patch(index, parts)
            if patch is None:
                waiting.append(index)
                continue
            self._whole(waiting, parts)
            waiting = []
            self._later -= self._way(parts.rest(index), wanted).bytes
            self._session.send(Part(1, patch.packing, patch.base.sha256))
            self._blocks(patch.packed, partial(operator.sub, patch.bytes))
        self._whole(waiting, parts)

    def on_taken(self, message: Taken) -> None:
        """The server side confirms that so many bytes have arrived."""
        self._taken = message.bytes
        self._show_progress()

    def on_finished(self) -> None:
        """Everything has arrived: remember the speed, and keep the files that the next patch can be made from.

        The line is idle while a patch is made, and a local target has no line: neither says anything about its speed.
        """
        seconds = time.monotonic() - self._began
        if self._sent:
            self._taken, self._later, self._ahead = self._sent, 0, 0
            self._show_progress()
        if self._sent >= _MEASURABLE and seconds > 0 and not self._patches.made and self._target.address != "local":
            cache.remember_speed(self._target.address, strategy.speed(self._sent, seconds, self._packed_s))
        files = [entry for entry in self._artifact.manifest.entries if entry.kind == "file"]
        cache.keep(Sent(self._artifact.root / entry.path, entry.size, entry.sha256) for entry in files)
        cache.remember_last(self._target.address, self._target.app, files)

    def _way(self, rest: int, wanted: MissingFiles) -> Way:
        return strategy.whole(rest, self._line, wanted.packings)

    def _patch(self, index: int, parts: "_Parts") -> Patch | None:
        """The patch for a file, or None when the file is sent whole. The user interface gets the reason."""
        entry, rest = parts.entry(index), parts.rest(index)
        bases = parts.bases(entry)
        if not bases:
            return None
        whole = self._way(rest, parts.wanted)
        patch = self._patches.find(entry, rest, bases, parts.wanted.packings)
        if is_large(patch, rest):
            self._warn_of_debug(entry)
        if isinstance(patch, NoPatch):
            self._ui.why(f"{entry.path}: whole, {whole.packing}, at {self._speed}: {patch.why}")
            return None
        chosen = f"a patch of {patch.bytes:,} bytes ({patch.packing}) to {patch.base.sha256[:12]}"
        instead = f"whole about {size(whole.bytes)} and {whole.seconds:.1f} s"
        self._ui.why(f"{entry.path}: {chosen}; {instead} at {self._speed}")
        return patch

    def _warn_of_debug(self, entry: Entry) -> None:
        if not self._warned and executable.debug_is_compressed(self._artifact.root / entry.path):
            self._warned = True
            self._ui.note(Note("warning", _COMPRESSED_DEBUG.format(entry.path)))

    @property
    def _speed(self) -> str:
        return f"{size(round(self._line.bytes_s))}/s ({self._line.known})"

    def _whole(self, indexes: list[int], parts: "_Parts") -> None:
        """Send these files one after the other, as one part."""
        if not indexes:
            return
        way = self._way(sum(parts.rest(index) for index in indexes), parts.wanted)
        self._later -= sum(self._way(parts.rest(index), parts.wanted).bytes for index in indexes)
        self._session.send(Part(len(indexes), way.packing))
        reader = _Reader(parts.pieces(indexes), sum(parts.rest(index) for index in indexes))
        self._blocks(pack(packer(way.packing), reader), reader.expected)

    def _blocks(self, packed: Iterable[bytes], expected: Callable[[int], int]) -> None:
        """Send the part, and receive messages meanwhile. `expected`: bytes sent → bytes that are still to come."""
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
        while self._session.is_readable():
            self._receive(self._session.receive())

    def _receive(self, message: Any) -> None:
        if isinstance(message, Taken):
            self.on_taken(message)
        elif isinstance(message, Step):
            self._ui.step(message)
        elif isinstance(message, Note):
            self._ui.note(message)
        else:
            raise StrangeAnswer(f"the server side sent {type(message).__name__} in the middle of an upload")

    def _show_progress(self) -> None:
        seconds = time.monotonic() - self._began
        total = max(self._sent + self._ahead + max(0, self._later), self._taken)
        self._ui.progress(Progress("upload", self._taken, total, self._taken / seconds if seconds > 0 else 0.0))


def is_large(patch: Patch | NoPatch, rest: int) -> bool:
    """Does a small change make a large patch? Also when making the patch was given up."""
    return patch.tried if isinstance(patch, NoPatch) else patch.bytes > _SMALL_PATCH * rest


def wanted_mistakes(wanted: MissingFiles, manifest: Manifest) -> Iterator[Mistake]:
    """What a server cannot ask for: a file that is not in the artifact, a file twice, more bytes than a file has."""
    sizes = {index: entry.size for index, entry in enumerate(manifest.entries) if entry.kind == "file"}
    missing = set(wanted.missing)
    for index in sorted(missing - sizes.keys()):
        yield Mistake("missing", f"the artifact has no file {index}")
    if len(missing) < len(wanted.missing):
        yield Mistake("missing", "has a file twice")
    for begun in wanted.begun:
        if begun.number not in missing or begun.bytes > sizes.get(begun.number, 0):
            yield Mistake("begun", f"{begun.bytes:,} bytes of file {begun.number} cannot have arrived")


def _too_many_requests(times: int) -> Iterator[Mistake]:
    if times > _MOST_REQUESTS:
        yield Mistake("missing", f"is asked for the {times}th time")


class _Parts:
    """The files that the server side asks for, by their index in the manifest."""

    def __init__(self, wanted: MissingFiles, artifact: Artifact) -> None:
        self.wanted = wanted
        self._artifact = artifact
        self._begun = {begun.number: begun.bytes for begun in wanted.begun}
        self._bases: dict[str, list[PatchBase]] = {}
        for base in wanted.bases:
            self._bases.setdefault(base.path, []).append(base)

    def entry(self, index: int) -> Entry:
        return self._artifact.manifest.entries[index]

    def rest(self, index: int) -> int:
        """Bytes that the server does not have yet."""
        return max(0, self.entry(index).size - self._begun.get(index, 0))

    def bases(self, entry: Entry) -> list[PatchBase]:
        return self._bases.get(entry.path, []) if is_worth_it(entry) else []

    def pieces(self, indexes: list[int]) -> Iterator[bytes]:
        for index in indexes:
            with (self._artifact.root / self.entry(index).path).open("rb") as file:
                file.seek(self._begun.get(index, 0))
                while piece := file.read(_BLOCK):
                    yield piece


class _Reader:
    """Counts the pieces of files while they are read, to estimate by the packing so far how many bytes are to come."""

    def __init__(self, pieces: Iterator[bytes], size: int) -> None:
        self._pieces, self._size, self._done = pieces, size, 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._done += len(piece)
            yield piece

    def expected(self, sent: int) -> int:
        return max(0, round((self._size - self._done) * sent / self._done)) if self._done else 0
