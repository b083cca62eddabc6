"""Compress a stream of bytes. Both sides have each packing in Python's standard library."""

import bz2
import lzma
import zlib
from typing import Protocol

from teal_host.wire.uploads import Packing


class Packer(Protocol):
    def compress(self, __data: bytes) -> bytes: ...

    def flush(self) -> bytes: ...


class _NoCompression:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def packer(packing: Packing, hard: bool = False) -> Packer:
    """`hard`: as small as possible, for a patch; otherwise as fast as a slow connection, in little memory."""
    if packing == "plain":
        return _NoCompression()
    if packing == "zlib":
        return zlib.compressobj(9 if hard else 6)
    if packing == "bz2":
        return bz2.BZ2Compressor()
    return lzma.LZMACompressor(preset=6 if hard else 3)
