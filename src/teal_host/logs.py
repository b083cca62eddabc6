"""What the programs wrote: the last lines of each color, and then what comes."""

import time
from typing import Callable, List, Optional

from teal_host import slot
from teal_host.app import App
from teal_host.supervisors.base import Written
from teal_host.wire.messages import Done, LogLine, Logs
from teal_host.wire.reports import Color


def logs(app: App, request: Logs, listening: Callable[[], bool]) -> Done:
    """Idle color first, so that the live one stands last. Follows a color on to its next release."""
    colors = _order(app, request.color)
    tails = {color: app.host.supervisor.tail(app.paths.color(color)) for color in colors}
    for color, tail in tails.items():
        _tell(app, color, tail.last(request.lines))
    while request.follow and listening():
        for color, tail in tails.items():
            _tell(app, color, tail.more())
        time.sleep(max(tail.pause_s for tail in tails.values()))
    return Done()


def _order(app: App, chosen: Optional[Color]) -> List[Color]:
    if chosen:
        return [chosen]
    slots = slot.look(app.paths)
    return [slots.idle, slots.live] if slots.live else list(slot.colors())


def _tell(app: App, color: Color, lines: List[Written]) -> None:
    for line in lines:
        app.tell(LogLine(color, line.release, line.text))
