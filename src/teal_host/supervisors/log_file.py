"""What plain processes wrote: a log file for each color and release."""

import contextlib
import os
from pathlib import Path
from typing import BinaryIO, Iterator, List, Sequence, Tuple

from teal_host.ground.paths import ColorPaths
from teal_host.state.seams import OutputLine

_FARTHEST = 256 * 1024 * 1024  # how far back the last lines are looked for
_BLOCK = 64 * 1024
_LINE_BYTES = 16 * 1024  # a longer line is told in pieces


class LogFileTail:
    """A Tail. A log has no times, so the color that wrote last stands last."""

    pause_s = 0.1

    def __init__(self, colors: Sequence[ColorPaths]) -> None:
        self._logs = [_Log(color) for color in colors]

    def last(self, lines: int) -> Iterator[OutputLine]:
        logs = self._by_time()
        for log in reversed(logs):
            lines -= log.go_back(lines)
        for log in logs:
            yield from log.read()
            yield from log.end_line()

    def more(self) -> Iterator[OutputLine]:
        for log in self._by_time():
            yield from log.more()

    def _by_time(self) -> "List[_Log]":
        return sorted(self._logs, key=lambda log: log.written_at())


class _Log:
    """How far somebody has read what one color wrote."""

    def __init__(self, color: ColorPaths) -> None:
        self._color = color
        self._release = color.held or ""
        self._at = 0
        self._rest = b""

    def written_at(self) -> float:
        with contextlib.suppress(OSError):
            return self._path.stat().st_mtime
        return 0.0

    def go_back(self, lines: int) -> int:
        """Go to where the last lines begin. Returns how many they are."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            self._at, count = _beginning(file, lines)
            return count
        return 0

    def more(self) -> Iterator[OutputLine]:
        yield from self.read()
        release = self._color.held or ""
        if release != self._release:
            yield from self.end_line()
            self._release, self._at = release, 0
            yield from self.read()

    def read(self) -> Iterator[OutputLine]:
        """Up to where the file ends now: its program may write faster than somebody reads."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            self._at = file.seek(min(self._at, end))
            while block := file.read(min(_BLOCK, end - self._at)):
                self._at += len(block)
                *whole, rest = (self._rest + block).split(b"\n")
                whole_pieces = len(rest) // _LINE_BYTES * _LINE_BYTES
                self._rest = rest[whole_pieces:]
                for line in whole:
                    yield from self._pieces(line)
                if whole_pieces:
                    yield from self._pieces(rest[:whole_pieces])

    def end_line(self) -> Iterator[OutputLine]:
        """A line that its program has not ended yet."""
        if self._rest:
            rest, self._rest = self._rest, b""
            yield from self._pieces(rest)

    def _pieces(self, line: bytes) -> Iterator[OutputLine]:
        line = line.removesuffix(b"\r")
        for start in range(0, max(1, len(line)), _LINE_BYTES):
            text = line[start : start + _LINE_BYTES].decode(errors="replace")
            yield OutputLine(self._color.color, self._release, text)

    @property
    def _path(self) -> Path:
        """Nothing is there before the color holds a release."""
        return self._color.log(self._release or "none")


def _beginning(file: BinaryIO, lines: int) -> Tuple[int, int]:
    """Where the last lines of a file begin, and how many they are: backwards, a block at a time."""
    end = file.seek(0, os.SEEK_END)
    first, begins, count = max(0, end - _FARTHEST), end, 0
    position = end - 1  # a line break at the very end begins no line
    while position > first and count < lines:
        start = max(first, position - _BLOCK)
        file.seek(start)
        block = file.read(position - start)
        line_break = len(block)
        while count < lines and (line_break := block.rfind(b"\n", 0, line_break)) >= 0:
            begins, count = start + line_break + 1, count + 1
        position = start
    if count < lines and end and first == 0:
        return 0, count + 1
    return begins, count
