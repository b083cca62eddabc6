"""The live color and the standby: do they run, do they come back at boot, how did they end?"""

from typing import Iterator, List

from teal_host.checks.base import Visit, fault, ok, there, warning
from teal_host.ground.paths import unit_name
from teal_host.state.seams import ProcessState
from teal_host.steps import health
from teal_host.steps.candidate import Candidate
from teal_host.supervisors.journald import Words, words
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
    """Of systemd: which color comes back, and how often it had to restart the live one."""
    live = visit.slots.live
    if live is None:
        return
    at_boot = [color for color in (live, visit.slots.idle) if visit.app.paths.at_boot(color).is_symlink()]
    yield from boot(visit.app.name, live, at_boot)
    yield from restarts(live, words(visit.app.paths.color(live).unit))


def _live(visit: Visit, color: Color) -> Finding:
    entry, said = visit.record(color), visit.slots.releases[color]
    if entry is None:
        return fault("live", f"what was deployed as {said} is not known any more", "teal deploy")
    candidate = Candidate(entry, color, visit.agreed.ports.of(color), visit.app.paths)
    found = health.probe(visit.app, candidate, _ANSWER_WITHIN_S)
    if found.well:
        return ok("live", f"{color} runs {entry.release}: {found.says}")
    evidence = _remarks(visit, color)
    hint = f"teal logs --color {color}; then teal deploy, or teal rollback"
    return fault("live", f"{color} with {entry.release}: {found.says}", hint, evidence)


def _standby(visit: Visit, color: Color) -> Finding:
    entry = visit.record(color)
    state = visit.app.host.supervisor.state(visit.app.paths.color(color))
    was_refused = entry is not None and entry.outcome == "refused"
    kept = entry is None or entry.spec.keep.previous_running
    if state.state == "running" or not (was_refused or state.state == "failed"):
        return standby(color, state, kept)
    return ended(color, visit.slots.releases[color] or "", state, _remarks(visit, color))


def standby(color: Color, state: ProcessState, kept: bool) -> Finding:
    """`kept`: it was to go on running."""
    if state.state == "running":
        return ok("standby", f"{color} runs, so a rollback is at once")
    if kept:
        says = f"{color} does not run, so a rollback takes its start"
        return warning("standby", says, "the next deploy takes its place")
    return ok("standby", f"{color} is stopped, as [keep] previous_running = false says")


def ended(color: Color, release: str, state: ProcessState, said: List[str]) -> Finding:
    says = f"{color} does not run: {release} {state.end or 'was refused'}"
    return warning("standby", says, f"teal logs --color {color}; a deploy takes its place", said)


def boot(app: str, live: Color, enabled: List[Color]) -> Iterator[Finding]:
    """After a reboot the live color must come back, and it alone."""
    for color in COLORS:
        unit = unit_name(app, color)
        if color == live and color not in enabled:
            says = f"{color} is live, but would not come back after a reboot"
            yield fault("boot", says, there(f"systemctl enable {unit}"))
        if color != live and color in enabled:
            says = f"{color} is not live, but would be started after a reboot too"
            yield warning("boot", says, there(f"systemctl disable {unit}"))
    if enabled == [live]:
        yield ok("boot", f"{live} comes back after a reboot")


def restarts(color: Color, told: Words) -> Iterator[Finding]:
    """systemd restarts a program that crashes, so nobody may have noticed."""
    if told.restarts:
        times = "once" if told.restarts == 1 else f"{told.restarts} times"
        last = f"; the last time {told.last_end}" if told.last_end else ""
        yield warning("restarts", f"{color} crashed and was restarted {times}{last}", f"teal logs --color {color}")


def _remarks(visit: Visit, color: Color) -> List[str]:
    return visit.app.host.supervisor.remarks(visit.app.paths.color(color))
