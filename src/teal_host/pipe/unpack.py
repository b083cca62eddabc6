"""Unpacks what a client packed, as it is asked for: never more in memory than a piece, whatever was packed."""

import importlib
import zlib
from typing import Any, Iterator, Tuple

from teal_host.ground.errors import BadRequest, Cancelled
from teal_host.wire.uploads import Packing

_PIECE = 256 * 1024
_OPTIONAL: Tuple[Packing, ...] = ("bz2", "lzma")
_MEMORY = 32 * 1024 * 1024  # that xz may take to unpack


class Spoilt(BadRequest):
    """The bytes of a part are not what they should be."""


class Unpacked:
    """The bytes of one part."""

    def __init__(self, blocks: Iterator[bytes], packing: Packing) -> None:
        self._blocks = blocks
        self._unpacker = _unpacker(packing)
        self._rest = b""

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end. Raises Spoilt when they cannot be unpacked, or do not end there."""
        while not self._rest:
            if self._unpacker.eof:
                return self._end()
            packed = b""
            if self._unpacker.needs_input:
                packed = self._block()
                if not packed:
                    return self._end()
            self._rest = self._unpack(packed)
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def pieces(self, size: int) -> Iterator[bytes]:
        """The next bytes, so many if there are, in pieces of bounded size."""
        while size:
            piece = self.read(min(size, _PIECE))
            if not piece:
                return
            size -= len(piece)
            yield piece

    def finish(self) -> None:
        """Raises Spoilt unless this is the end."""
        if self.read(1):
            raise Spoilt("the upload has more bytes than its manifest says")

    def leave(self) -> None:
        """What still comes of this part is of no use."""
        for _ in self._blocks:
            pass

    def _block(self) -> bytes:
        """The next one with something in it; none at the end."""
        return next((block for block in self._blocks if block), b"")

    def _unpack(self, packed: bytes) -> bytes:
        try:
            piece: bytes = self._unpacker.decompress(packed, _PIECE)
        except Cancelled:  # by a signal that came just then
            raise
        except Exception as error:  # noqa: BLE001 - each packing has errors of its own
            raise Spoilt(f"the upload cannot be uncompressed: {error}") from None
        return piece

    def _end(self) -> bytes:
        plain = isinstance(self._unpacker, _Plain)
        if not plain and (not self._unpacker.eof or self._unpacker.unused_data or self._block()):
            raise Spoilt("the upload does not end where it should")
        return b""


class _Zlib:
    """zlib's own object keeps what it has not unpacked in another place than those of bz2 and lzma."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj()
        self.needs_input = True

    def decompress(self, packed: bytes, most: int) -> bytes:
        piece = self._unpacker.decompress(self._unpacker.unconsumed_tail + packed, most)
        self.needs_input = len(piece) < most and not self._unpacker.unconsumed_tail
        return piece

    @property
    def eof(self) -> bool:
        return self._unpacker.eof

    @property
    def unused_data(self) -> bytes:
        return self._unpacker.unused_data


class _Plain:
    """What was not packed; it ends with its last block."""

    needs_input = True
    eof = False
    unused_data = b""

    def decompress(self, packed: bytes, _most: int) -> bytes:
        return packed


def packings() -> Tuple[Packing, ...]:
    """What this Python can unpack; some are built without all of them."""
    return ("plain", "zlib", *(name for name in _OPTIONAL if _module(name)))


def _unpacker(packing: Packing) -> Any:
    if packing == "plain":
        return _Plain()
    if packing == "zlib":
        return _Zlib()
    module = _module(packing)
    if module is None:
        raise BadRequest(f"this server cannot unpack {packing}")
    if packing == "bz2":
        return module.BZ2Decompressor()
    return module.LZMADecompressor(module.FORMAT_XZ, memlimit=_MEMORY)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
