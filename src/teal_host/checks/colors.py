"""The live color and the standby: do they run, do they come back at boot, how did they end?"""

from dataclasses import replace
from typing import Iterator, List, Optional

from teal_host.checks.base import Visit, fault, ok, warning
from teal_host.ground.paths import unit_name
from teal_host.ground.remedies import on_server
from teal_host.state import releases
from teal_host.state.releases import Record
from teal_host.state.seams import ProcessState
from teal_host.steps import health
from teal_host.steps.candidate import Candidate
from teal_host.supervisors.journald import UnitLog, read_unit_log
from teal_host.wire.grammar import COLORS
from teal_host.wire.reports import Color, Finding

_ANSWER_WITHIN_S = 3.0


def check(visit: Visit) -> Iterator[Finding]:
    live = visit.slots.live
    if live is None:
        yield ok("live", "nothing is deployed yet: teal deploy")
        return
    yield _live(visit, live)
    if visit.slots.releases[visit.slots.idle]:
        yield _standby(visit, visit.slots.idle)


def check_boot(visit: Visit) -> Iterator[Finding]:
    """Which color systemd starts at boot, and how often systemd restarted the live color."""
    live = visit.slots.live
    if live is None:
        return
    at_boot = [color for color in (live, visit.slots.idle) if visit.app.paths.at_boot(color).is_symlink()]
    yield from boot(visit.app.name, live, at_boot)
    yield from restarts(live, read_unit_log(visit.app.paths.color(live).unit))


def _live(visit: Visit, color: Color) -> Finding:
    record, release = visit.record(color), visit.slots.releases[color]
    if record is None:
        return fault("live", f"the record of the live release {release} is missing", "teal deploy")
    candidate = Candidate(record, color, visit.agreed.pairs, visit.app.paths, visit.agreed.scheme)
    result = health.probe(visit.app, candidate, _ANSWER_WITHIN_S)
    if result.well:
        return ok("live", f"{color} runs {record.release}: {result.reason}")
    evidence, restarts = _remarks(visit, color), visit.app.host.supervisor.restarts(visit.app.paths.color(color))
    if restarts:
        message = f"{color} with {record.release}: {result.reason}; systemd tries again and again; {restarts}"
        return fault("live", message, f"teal logs --color {color}: what does the program need?", evidence)
    hint = f"teal logs --color {color}; then teal deploy, or teal rollback"
    return fault("live", f"{color} with {record.release}: {result.reason}", hint, evidence)


def _standby(visit: Visit, color: Color) -> Finding:
    record, supervisor, slot = visit.record(color), visit.app.host.supervisor, visit.app.paths.color(color)
    state, restarts = supervisor.state(slot), supervisor.restarts(slot)
    if restarts:
        message = f"{color} does not stand by; systemd tries again and again; {restarts}"
        return warning("standby", message, f"teal logs --color {color}", _remarks(visit, color))
    release, previous = visit.slots.releases[color], releases.previous_name(visit.app.paths, visit.slots.live_release)
    if record and record.did_not_stay:
        return replace(did_not_stay(record, color, state, _way_back(previous)), evidence=tuple(_remarks(visit, color)))
    if state.state == "failed":
        return ended(color, release or "", state, _remarks(visit, color))
    if release != previous:
        return elsewhere(record, _way_back(previous))
    return standby(color, state, record is None or record.spec.keep.previous_running)


def _way_back(previous: Optional[str]) -> str:
    return f"goes to {previous}, which is started first" if previous else "has no release to go to"


def did_not_stay(record: Record, color: Color, state: ProcessState, way_back: str) -> Finding:
    """Nobody is led to a release that Teal has found bad."""
    does = "still runs" if state.state == "running" else "does not run"
    why = "; ".join(filter(None, [f"{record.release} {releases.ENDED[record.outcome]}", state.end]))
    hint = f"teal logs --color {color}; the next deploy uses this color again"
    return warning("standby", f"{color} {does}: {why}; teal rollback {way_back}", hint)


def elsewhere(record: Optional[Record], way_back: str) -> Finding:
    """After a rollback the other color holds the newer release, to which no rollback without a name goes."""
    message = f"teal rollback {way_back}"
    if record and record.outcome in ("live", "superseded"):
        message += f"; teal rollback {record.release} goes to the release of the other color"
    return ok("standby", message)


def standby(color: Color, state: ProcessState, should_run: bool) -> Finding:
    if state.state == "running":
        return ok("standby", f"{color} runs, so a rollback takes effect at once")
    if should_run and state.end:
        message = f"{color} does not run: {state.end}; the next deploy uses this color, and a rollback starts it first"
        return warning("standby", message)
    if should_run:
        message = f"{color} does not run, so a rollback must start it first"
        return warning("standby", message, f"teal logs --color {color}; the next deploy uses this color again")
    return ok("standby", f"{color} is stopped, as [keep] previous_running = false wants")


def ended(color: Color, release: str, state: ProcessState, remarks: List[str]) -> Finding:
    message = f"{color} with {release} does not run: {state.end}"
    return warning("standby", message, f"teal logs --color {color}; the next deploy uses this color again", remarks)


def boot(app: str, live: Color, enabled: List[Color]) -> Iterator[Finding]:
    """After a reboot the live color must start, and no other."""
    for color in COLORS:
        unit = unit_name(app, color)
        if color == live and color not in enabled:
            message = f"{color} is live, but will not start after a reboot"
            yield fault("boot", message, on_server(f"systemctl enable {unit}"))
        if color != live and color in enabled:
            message = f"{color} is not live, but will start after a reboot too"
            yield warning("boot", message, on_server(f"systemctl disable {unit}"))
    if enabled == [live]:
        yield ok("boot", f"{live} starts after a reboot")


def restarts(color: Color, log: UnitLog) -> Iterator[Finding]:
    """systemd restarts a program that crashes, so a crash may stay unnoticed."""
    if log.restarts:
        times = "once" if log.restarts == 1 else f"{log.restarts} times"
        last = f"; the last time {log.last_end}" if log.last_end else ""
        message = f"{color} crashed and systemd restarted it {times}{last}"
        yield warning("restarts", message, f"teal logs --color {color}")


def _remarks(visit: Visit, color: Color) -> List[str]:
    return visit.app.host.supervisor.remarks(visit.app.paths.color(color))
