"""Patches of an artifact's files to what the server has, made ahead of its word where what it has can be guessed.

The guess is what was sent last to the same app. Its patches are made while the connection is still being opened, which
takes longer than making one; a wrong guess costs that time and nothing else, because the server names what it has.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from teal import cache, choice, delta, packing
from teal.artifact import Artifact
from teal.choice import Line
from teal.packing import Packer
from teal_host.wire.manifest import Entry
from teal_host.wire.uploads import Base, Packing

_USUAL: tuple[Packing, ...] = ("plain", "zlib", "bz2", "lzma")  # what a whole Python can unpack


@dataclass(frozen=True)
class Patch:
    base: Base
    packing: Packing
    packed: list[bytes]

    @property
    def bytes(self) -> int:
        return sum(len(piece) for piece in self.packed)


@dataclass(frozen=True)
class NoPatch:
    """Why the file had better go whole. `tried`: one was made, or begun."""

    why: str
    tried: bool = True


class Patches:
    def __init__(self, artifact: Artifact, line: Line) -> None:
        self._artifact, self._line = artifact, line
        self._ahead: dict[tuple[str, str, Packing], Patch | NoPatch] = {}  # by file, base and packing
        self.made = False  # was there one since the server's word?

    def make_ahead(self, guesses: Iterable[Base], enough: Callable[[], bool]) -> None:
        """To what the server probably has, until there is something better to do."""
        bases = {base.path: base for base in guesses}
        for entry in self._artifact.manifest.entries:
            base = bases.get(entry.path)
            if base is None or entry.kind != "file" or entry.sha256 == base.sha256 or not is_worth_it(entry):
                continue
            if enough():
                return
            kind = choice.patch(entry.size, self._line, _USUAL).packing
            if self._is_sooner(entry.size, _USUAL):
                self._ahead[entry.sha256, base.sha256, kind] = self._make(entry, 0, [base], kind)

    def find(self, entry: Entry, rest: int, bases: Sequence[Base], packings: Sequence[Packing]) -> Patch | NoPatch:
        """Of the last `rest` bytes of the file."""
        kind = choice.patch(rest, self._line, packings).packing
        ready = [self._ahead.get((entry.sha256, base.sha256, kind)) for base in bases if rest == entry.size]
        found = next((one for one in ready if isinstance(one, Patch)), None)
        if found is None and not self._is_sooner(rest, packings):
            return NoPatch("sooner there than a patch", tried=False)
        return self._if_small(found or self._now(entry, rest, bases, kind), rest, packings)

    def _is_sooner(self, size: int, packings: Sequence[Packing]) -> bool:
        whole, patch = choice.whole(size, self._line, packings), choice.patch(size, self._line, packings)
        return patch.seconds < whole.seconds

    def _now(self, entry: Entry, rest: int, bases: Sequence[Base], kind: Packing) -> Patch | NoPatch:
        self.made = True
        return self._make(entry, entry.size - rest, bases, kind)

    def _if_small(self, found: Patch | NoPatch, rest: int, packings: Sequence[Packing]) -> Patch | NoPatch:
        whole = choice.whole(rest, self._line, packings)
        if isinstance(found, Patch) and found.bytes / self._line.bytes_s >= whole.seconds:
            return NoPatch(f"a patch has {found.bytes:,} bytes")
        return found

    def _make(self, entry: Entry, start: int, bases: Sequence[Base], kind: Packing) -> Patch | NoPatch:
        old = next(((base, path) for base in bases if (path := cache.find(base.sha256, base.size))), None)
        if old is None:
            return NoPatch("what the server has of it is not in the cache here", tried=False)
        try:
            return Patch(old[0], kind, _packed(old[1], self._artifact.root / entry.path, start, kind))
        except delta.TooDifferent:
            return NoPatch("too different from what the server has")


def is_worth_it(entry: Entry) -> bool:
    return cache.WORTH <= entry.size <= cache.MOST_FILE


def _packed(old: Path, new: Path, start: int, kind: Packing) -> list[bytes]:
    """The patch. The new file is read whole: it may change under a map of it."""
    made = packing.packer(kind, hard=True)
    with old.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as before:
        return list(pack(made, delta.make(before, new.read_bytes(), start)))


def pack(made: Packer, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Piece by piece, and the end."""
    for piece in pieces:
        yield made.compress(piece)
    yield made.flush()
