"""How to send a file: whole or as a patch, and in which packing. Size, speed of the line and cost of packing decide.

The figures are rounded medians of programs of 8 to 33 MB on one core of a small machine. They need not be exact: they
only have to tell which way is faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from teal_host.wire.uploads import Packing

UNKNOWN_LINE = 2.5e6  # bytes a second: 20 Mbit/s
THIS_MACHINE = 500e6

_NEARLY_ALL, _FASTER = 0.85, 2.0
_PACKS = {"plain": 400e6, "zlib": 18e6, "lzma": 2.2e6}  # bytes a second
_LEAVES = {"plain": 1.0, "zlib": 0.45, "lzma": 0.36}  # of each byte
_COMPARES = 40e6  # bytes a second, while a patch is made
_CHANGED = 0.015  # the usual size of a patch, as a part of the file


@dataclass(frozen=True)
class Way:
    """`bytes` and `seconds` are estimates."""

    packing: Packing
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Line:
    """How fast the target receives bytes, and how that is known."""

    bytes_s: float
    known: str


def line(target: str, measured: float | None) -> Line:
    if measured:
        return Line(measured, "measured")
    return Line(THIS_MACHINE, "this machine") if target == "local" else Line(UNKNOWN_LINE, "a guess")


def speed(sent: int, seconds: float, packing_s: float) -> float:
    """Bytes a second of a line that took `seconds`, of which `packing_s` went into packing.

    If packing took nearly all of the time, the line was not the slow part. Then it is taken for twice as fast, and the
    next upload measures it better.
    """
    return sent / seconds * (_FASTER if packing_s > _NEARLY_ALL * seconds else 1.0)


def whole(size: int, line: Line, packings: Sequence[Packing]) -> Way:
    """The fastest way to send so many bytes without a patch; they are packed while they are sent."""
    known: list[Packing] = [name for name in ("plain", "zlib", "lzma") if name in packings]
    ways = [_whole(name, size, line) for name in known or ["plain"]]
    return min(ways, key=lambda way: way.seconds)


def patch(size: int, line: Line, packings: Sequence[Packing]) -> Way:
    packing: Packing = "bz2" if "bz2" in packings else "zlib"
    return Way(packing, round(size * _CHANGED), size / _COMPARES + size * _CHANGED / line.bytes_s)


def _whole(packing: Packing, size: int, line: Line) -> Way:
    packed = size * _LEAVES[packing]
    return Way(packing, round(packed), max(size / _PACKS[packing], packed / line.bytes_s))
