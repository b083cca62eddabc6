"""What a patch is, and how one is applied: a file told as parts of an older one, what is added to them, and new bytes.

A patch is a row of chunks, each for CHUNK bytes of the new file (the last for what remains): three lengths, then the
operations, the bytes to add, the new bytes. An operation is a number: what is to be done in its two lowest bits, with
how many bytes (or how far to go) in the others. To add, byte by byte and without carry, is what makes a patch of a
program small: after a change in one function most others are the same but for addresses, all off by the same amount.
"""

import functools
import os
import struct
from dataclasses import dataclass
from typing import Iterator, Protocol, Tuple

from teal_host.wire.frames import Readable

CHUNK = 4 * 1024 * 1024  # bytes of the new file; bounds what is in memory on either side
LENGTHS = struct.Struct(">III")
MAX_OPS = 2 * 1024 * 1024  # bytes of operations in a chunk

NEW, SEEK, SAME, ADD = range(4)

_PIECE = 16 * 1024
_NUMBER_BYTES = 6  # no number of an operation is longer


class PatchError(ValueError):
    """The patch is none, or not one for this file."""


class CannotReadBase(PatchError):
    """The disk gives an error for the older file."""


class Source(Protocol):
    def fileno(self) -> int:
        """The older file."""


@dataclass
class _Chunk:
    """One chunk, while its operations are done."""

    ops: bytes
    added: memoryview
    new: memoryview

    def take_added(self, count: int) -> memoryview:
        piece, self.added = self.added[:count], self.added[count:]
        return _whole(piece, count)

    def take_new(self, count: int) -> memoryview:
        piece, self.new = self.new[:count], self.new[count:]
        return _whole(piece, count)


def apply(patch: Readable, base: Source, size: int) -> Iterator[bytes]:
    """The `size` bytes of the new file, in small pieces. Raises PatchError; never reads outside the older file."""
    old = _Old(base)
    while size:
        expected = min(CHUNK, size)
        made = 0
        for piece in _pieces(_next_chunk(patch), old, expected):
            made += len(piece)
            if made > expected:
                raise PatchError("the patch makes more than it should")
            yield piece
        if made != expected:
            raise PatchError("the patch makes less than it should")
        size -= made


def _next_chunk(patch: Readable) -> _Chunk:
    ops, added, new = LENGTHS.unpack(_exactly(patch, LENGTHS.size))
    if ops > MAX_OPS or added > CHUNK or new > CHUNK:
        raise PatchError("a chunk of the patch is too large")
    parts = [_exactly(patch, count) for count in (ops, added, new)]
    return _Chunk(parts[0], memoryview(parts[1]), memoryview(parts[2]))


def _pieces(chunk: _Chunk, old: "_Old", limit: int) -> Iterator[bytes]:
    for number in _numbers(chunk.ops):
        what, count = number & 3, number >> 2
        if what == SEEK:
            old.seek(count >> 1 if count & 1 == 0 else -(count >> 1))
        elif count > limit:
            raise PatchError("the patch makes more than it should")
        elif what == NEW:
            yield bytes(chunk.take_new(count))
        else:
            for start in range(0, count, _PIECE):
                piece = old.read(min(_PIECE, count - start))
                yield piece if what == SAME else add(piece, chunk.take_added(len(piece)))
    if chunk.added or chunk.new:
        raise PatchError("the patch has bytes that it does not use")


class _Old:
    """The older file, and where in it the patch is."""

    def __init__(self, base: Source) -> None:
        self._descriptor = base.fileno()
        self._size = os.fstat(self._descriptor).st_size
        self._at = 0

    def seek(self, distance: int) -> None:
        self._at += distance
        if not 0 <= self._at <= self._size:
            raise PatchError("the patch points outside the older file")

    def read(self, count: int) -> bytes:
        try:
            piece = os.pread(self._descriptor, count, self._at)
        except OSError as error:
            raise CannotReadBase(str(error.strerror)) from None
        self._at += count
        if len(piece) != count:
            raise PatchError("the patch points outside the older file")
        return piece


def add(old: bytes, added: "memoryview | bytes") -> bytes:
    """Byte by byte, each modulo 256; as two long numbers, which is a hundred times faster than a loop."""
    first, second = int.from_bytes(old, "little"), int.from_bytes(added, "little")
    high, low = _masks(len(old))
    return (((first & low) + (second & low)) ^ ((first ^ second) & high)).to_bytes(len(old), "little")


def subtract(new: bytes, old: bytes) -> bytes:
    """What must be added to `old` to get `new`."""
    minuend, subtrahend = int.from_bytes(new, "little"), int.from_bytes(old, "little")
    high, low = _masks(len(new))
    difference = ((minuend | high) - (subtrahend & low)) ^ ((minuend ^ subtrahend ^ high) & high)
    return difference.to_bytes(len(new), "little")


@functools.lru_cache(maxsize=32)
def _masks(count: int) -> Tuple[int, int]:
    """The highest bit of each byte, and the others."""
    return int.from_bytes(b"\x80" * count, "little"), int.from_bytes(b"\x7f" * count, "little")


def number(value: int) -> bytes:
    """Seven bits a byte, the lowest first, as in many formats."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _numbers(ops: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in ops:
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            yield value
            value = shift = 0
            continue
        shift += 7
        if shift >= 7 * _NUMBER_BYTES:
            raise PatchError("a number in the patch is too large")
    if shift:
        raise PatchError("the patch ends within a number")


def _exactly(patch: Readable, count: int) -> bytes:
    parts = []
    while count:
        part = patch.read(count)
        if not part:
            raise PatchError("the patch ends too early")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _whole(piece: memoryview, count: int) -> memoryview:
    if len(piece) != count:
        raise PatchError("the patch needs bytes that it does not have")
    return piece
