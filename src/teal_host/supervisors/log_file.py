"""What plain processes wrote: a log file for each color and release."""

import os
from pathlib import Path
from typing import Iterator, List

from teal_host.ground.paths import ColorPaths
from teal_host.state.seams import OutputLine

_TAIL_BYTES = 4 * 1024 * 1024  # how far back the last lines are looked for
_LINE_BYTES = 16 * 1024  # a longer line is told in pieces


class LogFileTail:
    """A Tail."""

    pause_s = 0.1

    def __init__(self, color: ColorPaths) -> None:
        self._color = color
        self._release = ""
        self._at = 0
        self._rest = b""
        self._written_at = 0.0

    def last(self, lines: int) -> List[OutputLine]:
        self._release = self._color.held or ""
        path = self._path
        if not self._release or not path.exists():
            return []
        status = path.stat()
        self._at, self._written_at = status.st_size, status.st_mtime
        with path.open("rb") as file:
            file.seek(max(0, self._at - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES)
        return [piece for line in text.splitlines()[-lines:] for piece in self._pieces(line)] if lines else []

    def more(self) -> List[OutputLine]:
        release = self._color.held or ""
        if release != self._release:
            self._release, self._at, self._rest = release, 0, b""
        if not release or not self._path.exists():
            return []
        with self._path.open("rb") as file:
            self._written_at = os.fstat(file.fileno()).st_mtime
            file.seek(self._at)
            text = file.read(_TAIL_BYTES)
        self._at += len(text)
        *whole, self._rest = (self._rest + text).split(b"\n")
        return [piece for line in whole for piece in self._pieces(line)]

    def _pieces(self, line: bytes) -> Iterator[OutputLine]:
        for start in range(0, max(1, len(line)), _LINE_BYTES):
            yield OutputLine(
                self._release, line[start : start + _LINE_BYTES].decode(errors="replace"), self._written_at
            )

    @property
    def _path(self) -> Path:
        return self._color.log(self._release)
