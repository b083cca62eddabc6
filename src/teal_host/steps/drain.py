"""Before a color is reused, its last work must have ended.

After a switch the color gets no new request, but a request that began before may still run, and nginx may still buffer
a slow upload, for which it has no connection to the color yet. So "no connections to the color" proves nothing. A
moment without any client of nginx proves it; otherwise the color gets `keep.drain_s` since the switch.
"""

import datetime
import math
import time

from teal_host.ground import overtaking
from teal_host.ground.errors import GaveWay
from teal_host.ground.paths import ColorPaths
from teal_host.proxies import upstream
from teal_host.state.agreement import Agreement
from teal_host.state.app import App, Running
from teal_host.state.slots import read_slots
from teal_host.supervisors.base import STOP_GRACE_S
from teal_host.wire.reports import Color

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5
_SHORT_S = 1.0  # of a drain
_SLOWER = 20  # a pause is this part of the time that has passed
_LEISURE = 40  # a pause is at least so much longer than the processor time of the look before it
_IDLE_POOL_S = 5.0  # nginx closes its own unused connections to a color after 4 s; only older ones are work


def pause_s(passed_s: float, look_s: float) -> float:
    """Between two looks. They come seldom in a long drain, and take a small part of a processor however slow one is."""
    return max(_FIRST_PAUSE_S, min(_LONGEST_PAUSE_S, passed_s / _SLOWER), look_s * _LEISURE)


def wait(step: Running, slot: ColorPaths, agreed: Agreement, drain_s: float) -> None:
    """Wait for the color's last work, at most so long after the switch, and report what is cut."""
    wait_for_visitors(step, slot, agreed, drain_s)
    if _was_down(step.app, slot, drain_s):
        wait_for_stand_in(step, slot, agreed, drain_s)
    warn_of_cut(step.app, slot, agreed, drain_s)


def wait_for_visitors(step: Running, slot: ColorPaths, agreed: Agreement, drain_s: float) -> None:
    """For what the color was asked while it was live. It may go on standing in for what is live."""
    if step.app.host.supervisor.state(slot).state == "running":
        _wait_until_quiet(step, slot, agreed, drain_s - step.app.journal.since_switch())


def wait_for_stand_in(step: Running, slot: ColorPaths, agreed: Agreement, at_most_s: float) -> None:
    """For what a standby was asked while the live color was down. It is withdrawn, so nginx asks no more of it, and
    closes its unused connections to it after 4 s.
    """
    began, asked = time.monotonic(), upstream.now(slot, agreed.ports)
    while asked.connections() and (passed_s := time.monotonic() - began) < at_most_s:
        step.say(f"waiting for what {slot.color} answers in the place of what is live")
        time.sleep(pause_s(passed_s, 0))


def warn_of_cut(app: App, slot: ColorPaths, agreed: Agreement, after_s: float) -> None:
    open_still = upstream.now(slot, agreed.ports).connections()
    if open_still and app.journal.since_switch() > _IDLE_POOL_S:
        app.warn(f"{open_still} connection(s) to {slot.color} were still open after {after_s:g} s and are cut")


def stop(step: Running, slot: ColorPaths) -> None:
    """Whatever runs on this color. A program may take its time to end, so the step says what it waits for."""
    if step.app.host.supervisor.state(slot).state == "running":
        step.say(f"waiting for {slot.held} on {slot.color} to end")
    step.app.host.supervisor.stop(slot, STOP_GRACE_S)
    step.detail = ""


def wait_and_stop(app: App, slot: ColorPaths, agreed: Agreement, drain_s: float) -> None:
    """A color that visitors were sent to ends only after its last work. A rollback does not wait for that: it may need
    this color, and otherwise the next command drains it.
    """
    with app.step("drain") as step:
        try:
            with overtaking.possible():
                wait(step, slot, agreed, drain_s)
        except GaveWay:
            step.detail = f"{slot.color} runs on, for a rollback"
            return
        stop(step, slot)
        step.detail = f"{slot.color} is stopped"


def _was_down(app: App, slot: ColorPaths, within_s: float) -> bool:
    """The live color, if this is the other one."""
    live = read_slots(app.paths).live
    if live in (None, slot.color) or app.journal.since_switch() < within_s:
        return False
    state = app.host.supervisor.state(app.paths.color(live))
    if state.state != "running" or state.since is None:
        return True
    ran = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(state.since)
    return ran.total_seconds() < within_s


def _why_waiting(color: Color, passed_s: float, at_most_s: float) -> str:
    """A wait that is no longer short needs its cause and its bound."""
    if passed_s < _SHORT_S:
        return f"waiting for the last work of {color}"
    more_s = math.ceil(at_most_s - _SHORT_S)
    return f"waiting up to {more_s} s more (keep.drain_s): visitors may still have work on {color}"


def _wait_until_quiet(step: Running, slot: ColorPaths, agreed: Agreement, at_most_s: float) -> None:
    began = time.monotonic()
    while (passed_s := time.monotonic() - began) < at_most_s:
        worked_s = time.thread_time()
        if step.app.host.proxy.quiet(agreed.site):
            return
        step.say(_why_waiting(slot.color, passed_s, at_most_s))
        time.sleep(min(pause_s(passed_s, time.thread_time() - worked_s), at_most_s - passed_s))
