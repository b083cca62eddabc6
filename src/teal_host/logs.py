"""What the programs wrote: the last lines of each color, and then what comes."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional

from teal_host import candidate, slot
from teal_host.app import App
from teal_host.wire.messages import Done, LogLine, Logs
from teal_host.wire.reports import Color

_LOOK_EVERY_S = 0.1
_TAIL_BYTES = 4 * 1024 * 1024  # how far back the last lines are looked for
_LINE_BYTES = 16 * 1024  # a longer line is told in pieces


def logs(app: App, request: Logs, listening: Callable[[], bool]) -> Done:
    """Idle color first, so that the live one stands last. Follows a color on to its next release."""
    tails: Dict[Color, _Tail] = {}
    for color in _order(app, request.color):
        tails[color] = _Tail(app, color)
        tails[color].last(request.lines)
    while request.follow and listening():
        for tail in tails.values():
            tail.more()
        time.sleep(_LOOK_EVERY_S)
    return Done()


def _order(app: App, chosen: Optional[Color]) -> List[Color]:
    if chosen:
        return [chosen]
    slots = slot.look(app.paths)
    return [slots.idle, slots.live] if slots.live else list(slot.colors())


@dataclass
class _Tail:
    """Where we are in the log of one color."""

    app: App
    color: Color
    release: str = ""
    at: int = 0
    rest: bytes = field(default=b"")

    def last(self, lines: int) -> None:
        self.release = slot.look(self.app.paths).releases[self.color] or ""
        path = self._path()
        if not self.release or not path.exists():
            return
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read()
        self.at = size
        for line in text.splitlines()[-lines:] if lines else []:
            self._say(line)

    def more(self) -> None:
        release = slot.look(self.app.paths).releases[self.color] or ""
        if release != self.release:
            self.release, self.at, self.rest = release, 0, b""
        if not release or not self._path().exists():
            return
        with self._path().open("rb") as file:
            file.seek(self.at)
            text = file.read(_TAIL_BYTES)
        self.at += len(text)
        *whole, self.rest = (self.rest + text).split(b"\n")
        for line in whole:
            self._say(line)

    def _say(self, line: bytes) -> None:
        for start in range(0, max(1, len(line)), _LINE_BYTES):
            text = line[start : start + _LINE_BYTES].decode(errors="replace")
            self.app.tell(LogLine(self.color, self.release, text))

    def _path(self) -> Path:
        return candidate.log_path(self.app.paths, self.color, self.release)
