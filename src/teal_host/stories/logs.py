"""The story of `teal logs`: the last lines of both colors by their times, and then each new line."""

import heapq
import time
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from teal_host.state.app import App
from teal_host.state.seams import OutputLine
from teal_host.state.slots import all_colors, read_slots
from teal_host.wire.messages import Done, LogLine, Logs
from teal_host.wire.reports import Color


def logs(app: App, request: Logs, listening: Callable[[], bool]) -> Done:
    """Of lines of the same time the live color's stand last. Follows a color on to its next release."""
    colors = _order(app, request.color)
    tails = {color: app.host.supervisor.tail(app.paths.color(color)) for color in colors}
    last = _merged({color: tail.last(request.lines) for color, tail in tails.items()})
    _tell(app, last[-request.lines :] if request.lines else [])
    while request.follow and listening():
        _tell(app, _merged({color: tail.more() for color, tail in tails.items()}))
        time.sleep(max(tail.pause_s for tail in tails.values()))
    return Done()


def _order(app: App, color: Optional[Color]) -> List[Color]:
    if color:
        return [color]
    slots = read_slots(app.paths)
    return [slots.idle, slots.live] if slots.live else list(all_colors())


def _merged(written: Dict[Color, List[OutputLine]]) -> List[Tuple[Color, OutputLine]]:
    """By time; what a color wrote stays in its order, also when the clock was set back meanwhile."""
    return list(heapq.merge(*_by_color(written), key=lambda line: line[1].at))


def _by_color(written: Dict[Color, List[OutputLine]]) -> Iterator[List[Tuple[Color, OutputLine]]]:
    for color, lines in written.items():
        yield [(color, line) for line in lines]


def _tell(app: App, lines: List[Tuple[Color, OutputLine]]) -> None:
    for color, line in lines:
        app.tell(LogLine(color, line.release, line.text))
