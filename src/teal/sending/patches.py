"""Patches between the files of an artifact and those that the server has, made in advance where those can be guessed.

The guess is the last upload to the same app. Its patches are made while the connection is still being opened, which
takes longer than making one. A wrong guess costs only that time, because the server names the files that it has.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from teal.building.artifact import Artifact
from teal.sending import cache, compression, delta, strategy
from teal.sending.compression import Packer
from teal.sending.strategy import Line, Way
from teal_host.wire.manifest import Entry
from teal_host.wire.uploads import Packing, PatchBase

_USUAL: tuple[Packing, ...] = ("plain", "zlib", "bz2", "lzma")  # what a complete Python can unpack


@dataclass(frozen=True)
class Patch:
    base: PatchBase
    packing: Packing
    packed: list[bytes]

    @property
    def bytes(self) -> int:
        return sum(len(piece) for piece in self.packed)


@dataclass(frozen=True)
class NoPatch:
    """Why the file is sent whole. `tried`: a patch was made, or begun."""

    why: str
    tried: bool = True


@dataclass(frozen=True)
class _Making:
    packing: Packing
    too_late: Callable[[], bool]


class Patches:
    def __init__(self, artifact: Artifact, line: Line) -> None:
        self._artifact, self._line = artifact, line
        self._prepared: dict[tuple[str, str, Packing], Patch | NoPatch] = {}  # by file, base and packing
        self.made = False  # was a patch made since the server named its files?

    def prepare(self, guesses: Iterable[PatchBase], enough: Callable[[], bool]) -> None:
        """Make patches to the files that the server probably has, until `enough`."""
        bases = {base.path: base for base in guesses}
        for entry in self._artifact.manifest.entries:
            base = bases.get(entry.path)
            if base is None or entry.kind != "file" or entry.sha256 == base.sha256 or not is_worth_it(entry):
                continue
            if enough():
                return
            kind = strategy.patch(entry.size, self._line, _USUAL).packing
            too_late = self._too_late(strategy.whole(entry.size, self._line, _USUAL), enough)
            self._prepared[entry.sha256, base.sha256, kind] = self._make(entry, 0, [base], _Making(kind, too_late))

    def find(self, entry: Entry, rest: int, bases: Sequence[PatchBase], packings: Sequence[Packing]) -> Patch | NoPatch:
        """A patch for the last `rest` bytes of the file."""
        kind, whole = strategy.patch(rest, self._line, packings).packing, strategy.whole(rest, self._line, packings)
        prepared = [self._prepared.get((entry.sha256, base.sha256, kind)) for base in bases if rest == entry.size]
        patch = next((patch for patch in prepared if patch is not None), None)
        if patch is None and strategy.patch(rest, self._line, packings).seconds >= whole.seconds:
            return NoPatch("faster than a patch", tried=False)
        if patch is None:
            self.made = True
            patch = self._make(entry, entry.size - rest, bases, _Making(kind, self._too_late(whole)))
        if isinstance(patch, Patch) and patch.bytes / self._line.bytes_s >= whole.seconds:
            return NoPatch(f"a patch has {patch.bytes:,} bytes")
        return patch

    def _too_late(self, whole: Way, needed: Callable[[], bool] = lambda: True) -> Callable[[], bool]:
        """From when on the file, sent whole, would have arrived; and only if somebody needs the patch then."""
        end = time.monotonic() + whole.seconds
        return lambda: time.monotonic() > end and needed()

    def _make(self, entry: Entry, start: int, bases: Sequence[PatchBase], making: _Making) -> Patch | NoPatch:
        old = next(((base, path) for base in bases if (path := cache.find(base.sha256, base.size))), None)
        if old is None:
            return NoPatch("the file that the server has is not in the cache here", tried=False)
        try:
            packed = _packed(old[1], self._artifact.root / entry.path, start, making)
        except delta.GivenUp as error:
            return NoPatch(str(error))
        return Patch(old[0], making.packing, packed)


def is_worth_it(entry: Entry) -> bool:
    return cache.WORTH <= entry.size <= cache.MOST_FILE


def _packed(old: Path, new: Path, start: int, making: _Making) -> list[bytes]:
    """Reads the new file whole: a memory map of it could change while it is read."""
    compressor = compression.packer(making.packing, hard=True)
    with old.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as before:
        return list(pack(compressor, delta.make(before, new.read_bytes(), start, making.too_late)))


def pack(compressor: Packer, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Piece by piece; the rest at the end."""
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()
