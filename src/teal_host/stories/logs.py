"""The story of `teal logs`: the last lines of both colors by their times, and then each new line.

Each line is told as it is read, so a slow client slows the reading, and neither side ever holds more than a window.
"""

import time
from typing import Callable, Iterator, List, Optional

from teal_host.state.app import App
from teal_host.state.seams import OutputLine
from teal_host.state.slots import read_slots
from teal_host.wire.grammar import COLORS
from teal_host.wire.messages import Done, LogLine
from teal_host.wire.reports import Color
from teal_host.wire.requests import Logs

_MOST = 256 * 1024 * 1024  # characters of the last lines


def logs(app: App, request: Logs, listening: Callable[[], bool]) -> Done:
    """Of lines of the same time the live color's stand last. Follows a color on to its next release."""
    if not any(read_slots(app.paths).releases.values()):
        return Done("nothing is deployed yet: teal deploy")
    tail = app.host.supervisor.tail([app.paths.color(color) for color in _order(app, request.color)])
    size = 0
    for line in _while(listening, tail.last(request.lines)):
        size += len(line.text)
        if size > _MOST and not request.follow:
            return Done(f"these are the first {_MOST >> 20} MiB of them; ask for fewer lines to see the last ones: -n")
        _tell(app, line)
    while request.follow and listening():
        for line in _while(listening, tail.more()):
            _tell(app, line)
        time.sleep(tail.pause_s)
    return Done()


def _order(app: App, color: Optional[Color]) -> List[Color]:
    if color:
        return [color]
    slots = read_slots(app.paths)
    return [slots.idle, slots.live] if slots.live else list(COLORS)


def _while(listening: Callable[[], bool], lines: Iterator[OutputLine]) -> Iterator[OutputLine]:
    for line in lines:
        if not listening():
            return
        yield line


def _tell(app: App, line: OutputLine) -> None:
    app.tell(LogLine(line.color, line.release, line.text))
