"""Before a color is reused, its last work must have ended.

After a switch the color gets no new request, but a request that began before may still run, and nginx may still buffer
a slow upload, for which it has no connection to the color yet. So "no connections to the color" proves nothing. A
moment without any client of nginx proves it; otherwise the color gets `keep.drain_s` since the switch.
"""

import time

from teal_host.ground import sockets
from teal_host.state.agreement import Agreement
from teal_host.state.app import Running
from teal_host.wire.reports import Color

_BETWEEN_S = 0.02
_IDLE_POOL_S = 5.0  # nginx closes its own unused connections to a color after 4 s; only older ones are work


def wait(step: Running, color: Color, agreed: Agreement, drain_s: float) -> None:
    """Wait for the color's last work, at most so long after the switch, and report what was cut."""
    app = step.app
    if app.host.supervisor.state(app.paths.color(color)).state != "running":
        return
    passed = app.journal.since_switch()
    deadline = time.monotonic() + max(0.0, drain_s - passed)
    while time.monotonic() < deadline and not app.host.proxy.quiet(agreed.site):
        step.say(f"waiting for the last work of {color}")
        time.sleep(_BETWEEN_S)
    open_still = sockets.connections(agreed.ports.of(color))
    if open_still and app.journal.since_switch() > _IDLE_POOL_S:
        app.warn(f"{open_still} connection(s) to {color} were still open after {drain_s:g} s and are cut")
