"""Minimal ELF files, made by hand: of any machine, with a loader and with required versions. They do nothing."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

X86_64, I386, AARCH64, ARM, RISCV, PPC64, S390, MIPS = 62, 3, 183, 40, 243, 21, 22, 8
LOADER = "/lib64/ld-linux-x86-64.so.2"
MUSL = "/lib/ld-musl-x86_64.so.1"
_LOAD, _DYNAMIC, _INTERP = 1, 2, 3
_STRTAB, _VERNEED = 5, 0x6FFFFFFE


@dataclass(frozen=True)
class Made:
    """What the file says about itself. A question mark after a version makes the version weak."""

    machine: int = X86_64
    bits: int = 64
    little: bool = True
    loader: str = ""
    versions: Sequence[str] = ()
    kind: int = 2
    system: int = 0

    def made(self) -> bytes:
        parts = [(_INTERP, self.loader.encode() + b"\0")] if self.loader else []
        parts += [(_DYNAMIC, b"")] if self.versions else []
        start = self._header_size + (len(parts) + 1) * self._segment_size
        body, segments = b"", []
        for kind, data in parts:
            inside = data if kind == _INTERP else self._dynamic(start + len(body))
            segments.append(self._segment(kind, start + len(body), len(inside)))
            body += inside
        body = body or b"\0"
        segments.append(self._segment(_LOAD, 0, start + len(body)))
        return self._header(len(segments)) + b"".join(segments) + body

    @property
    def _header_size(self) -> int:
        return 64 if self.bits == 64 else 52

    @property
    def _segment_size(self) -> int:
        return 56 if self.bits == 64 else 32

    def _pack(self, wide: str, narrow: str, *values: int) -> bytes:
        return struct.pack(("<" if self.little else ">") + (wide if self.bits == 64 else narrow), *values)

    def _header(self, segments: int) -> bytes:
        ident = bytes([0x7F, *b"ELF", 2 if self.bits == 64 else 1, 1 if self.little else 2, 1, self.system]) + bytes(8)
        sizes = (self._header_size, self._segment_size, segments, 0, 0, 0)
        return ident + self._pack(
            "HHIQQQIHHHHHH", "HHIIIIIHHHHHH", self.kind, self.machine, 1, 0, self._header_size, 0, 0, *sizes
        )

    def _segment(self, kind: int, offset: int, size: int) -> bytes:
        """The loader puts everything at the address of its offset."""
        if self.bits == 64:
            return self._pack("IIQQQQQQ", "", kind, 5, offset, offset, offset, size, size, 4096)
        return self._pack("", "IIIIIIII", kind, offset, offset, offset, size, size, 5, 4096)

    def _dynamic(self, at: int) -> bytes:
        """The table, the names, and one requirement with all the versions."""
        table = 3 * len(self._pack("QQ", "II", 0, 0))
        names, offsets = b"\0libc.so.6\0", []
        for version in self.versions:
            offsets.append(len(names))
            names += version.removesuffix("?").encode() + b"\0"
        names += bytes(-len(names) % 8)
        need = self._pack("HHIII", "HHIII", 1, len(offsets), 1, 16, 0)
        for index, (version, offset) in enumerate(zip(self.versions, offsets, strict=True)):
            following = 0 if index + 1 == len(offsets) else 16
            need += self._pack("IHHII", "IHHII", 0, 2 if version.endswith("?") else 0, index + 2, offset, following)
        tags = (_STRTAB, at + table, _VERNEED, at + table + len(names), 0, 0)
        return b"".join(self._pack("QQ", "II", *tags[n : n + 2]) for n in (0, 2, 4)) + names + need
