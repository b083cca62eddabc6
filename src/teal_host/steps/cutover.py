"""From a sealed release to traffic: what deploy and rollback share. Nothing that serves is touched until the switch."""

import contextlib
from typing import Iterator, Optional

from teal_host.ground.errors import Cancelled, CannotRun, HostError, NeedsHuman, RolledBack, Unhealthy, as_host_error
from teal_host.ground.paths import ColorPaths
from teal_host.state import releases
from teal_host.state.agreement import Agreement
from teal_host.state.app import App, Running
from teal_host.state.slots import assign_release
from teal_host.steps import drain, health, switch, watch
from teal_host.steps.candidate import Candidate, environment_of, start, warn_if_memory_is_short
from teal_host.steps.error_rate import AnswerLog
from teal_host.steps.health import ProbeResult
from teal_host.steps.watch import Watched
from teal_host.supervisors.base import STOP_GRACE_S
from teal_host.wire.reports import Color
from teal_host.wire.values import dataclass


@dataclass(frozen=True)
class Cutover:
    """One switch of traffic: to which candidate, from which color, and what was agreed before and is from now on.

    `previous_color`: where the link points before the switch. `standby`: the release there; None also where its record
    is damaged. `started_here`: this story starts the candidate, so this story stops it when it fails.
    """

    candidate: Candidate
    previous_color: Optional[Color]
    standby: Optional[Candidate]
    previous_agreement: Optional[Agreement]
    agreement: Agreement
    story_id: str
    started_here: bool

    @property
    def previous_slot(self) -> Optional[ColorPaths]:
        return self.candidate.paths.color(self.previous_color) if self.previous_color else None


def start_and_check(app: App, cutover: Cutover) -> None:
    """Start the release on the idle color and ask it. Raises Unhealthy; then its process is gone again."""
    candidate = cutover.candidate
    environment_of(candidate)  # what is lost is said before anything is stopped
    with app.step("start") as step:
        agreed = cutover.previous_agreement or cutover.agreement
        drain.wait(app, candidate.color, agreed, candidate.spec.keep.drain_s, step)
        app.journal.write("start", cutover.story_id, release=candidate.release, color=candidate.color)
        _end(app, candidate.slot_paths, step)
        health.check_port_is_free(candidate)
        if cutover.standby:
            warn_if_memory_is_short(app, cutover.standby)
        assign_release(app.paths, candidate.color, candidate.release)
        step.detail = f"{candidate.color} on port {candidate.port}"
        try:
            with _stopped_if_it_fails(app, candidate):
                start(app, candidate)
        except CannotRun as error:
            text = f"{candidate.release} on {candidate.color} is not healthy: {error.message}"
            raise Unhealthy(text, error.evidence, error.hint) from None
    with _stopped_if_it_fails(app, candidate), app.step("health") as step:
        health.wait_until_healthy(app, candidate, step)


@contextlib.contextmanager
def _stopped_if_it_fails(app: App, candidate: Candidate) -> Iterator[None]:
    """Nor does systemd try it again and again, and it may run though that could not be written down."""
    try:
        yield
    except (HostError, OSError):
        with best_effort(app):
            app.host.supervisor.stop(candidate.slot_paths, STOP_GRACE_S)
        raise


def switch_traffic(app: App, cutover: Cutover) -> None:
    """Switch, and prove it through nginx. Raises RolledBack when that fails; traffic is then where it was.

    Raises NeedsHuman where nobody is served all the same, because nginx or what is live does not run.
    """
    candidate = cutover.candidate
    try:
        with app.step("switch") as step:
            app.host.provisioning.open_route(cutover.agreement)
            app.host.supervisor.enable(candidate.slot_paths)  # first: what the link points to must come back at boot
            app.journal.write("switching", cutover.story_id, to=candidate.color, left=cutover.previous_color)
            switch.point_live_to(app, candidate.color)
            step.detail = switch.verify(app, candidate, cutover.agreement)
            app.journal.write("switched", cutover.story_id, to=candidate.color)
            switch.settle(app)
    except (HostError, OSError) as problem:
        error = as_host_error(problem)
        _undo(app, cutover, error)
        _refuse_to_say_that_it_serves(app, cutover, error)
        raise RolledBack(_rolled_back(cutover, error), error.evidence, error.hint) from None


def _refuse_to_say_that_it_serves(app: App, cutover: Cutover, error: HostError) -> None:
    """The link is where it was, and nothing is served all the same. Raises NeedsHuman."""
    why = _not_served(app, cutover)
    if why:
        color = cutover.previous_color
        link = f"the link points to {color}, as before" if color else "nothing is live, as before"
        reasons = dict.fromkeys((error.message, why.message, link))  # that nginx does not run may be the error itself
        raise NeedsHuman("; ".join(reasons), error.evidence, why.hint)


def _not_served(app: App, cutover: Cutover) -> Optional[HostError]:
    """Why nobody is served as before the switch, if that is so."""
    left, agreed = cutover.previous_slot, cutover.previous_agreement
    try:
        app.host.proxy.check_site(cutover.agreement.site)
        if left and app.host.supervisor.state(left).state != "running":
            return NeedsHuman(f"{left.held} on {left.color} does not run", hint=f"teal logs --color {left.color}")
        if left and agreed and not app.host.proxy.serves(agreed.route(app.paths)):
            return NeedsHuman(f"nginx does not serve {app.name} as agreed", hint="teal doctor")
    except HostError as problem:
        return problem
    return None


def _undo(app: App, cutover: Cutover, error: HostError) -> None:
    """As it was. Raises NeedsHuman when the link cannot be switched back, as on a disk that is full."""
    try:
        switch.restore(app, cutover.previous_color, cutover.previous_agreement)
    except (HostError, OSError) as problem:
        text = f"{error.message}; the way back failed as well: {as_host_error(problem).message}"
        raise NeedsHuman(text, error.evidence, "teal status") from None
    with best_effort(app):
        app.journal.write("rolled_back", cutover.story_id, to=cutover.previous_color)
    with best_effort(app):
        if cutover.started_here:
            app.host.supervisor.stop(cutover.candidate.slot_paths, STOP_GRACE_S)


def watch_and_roll_back(app: App, cutover: Cutover, tally: AnswerLog) -> None:
    """Watch the live color; when it turns bad, roll back once, onto a standby that is well.

    Raises RolledBack, or NeedsHuman when there is no such standby.
    """
    try:
        with app.step("watch") as step:
            watch.stay_well(app, Watched(cutover.candidate, cutover.standby, tally), step)
    except Unhealthy as error:
        _roll_back(app, cutover, error)


def keep_or_stop_previous(app: App, cutover: Cutover) -> None:
    """The previous release goes on running for an instant rollback, unless the app cannot afford two."""
    left = cutover.previous_slot
    if left is None or cutover.candidate.spec.keep.previous_running:
        return
    with app.step("drain") as step:
        drain.wait(app, left.color, cutover.agreement, cutover.candidate.spec.keep.drain_s, step)
        _end(app, left, step)
        step.detail = f"{left.color} is stopped"


def _end(app: App, there: ColorPaths, step: Running) -> None:
    """What runs on this color. It may take its time, so that it is waited for is said."""
    if app.host.supervisor.state(there).state == "running":
        step.say(f"waiting for {there.held} on {there.color} to end")
    app.host.supervisor.stop(there, STOP_GRACE_S)
    step.detail = ""


@contextlib.contextmanager
def best_effort(app: App) -> Iterator[None]:
    """What is only written down or tidied up does not change how a story ends. `recover` does what is left of it."""
    try:
        yield
    except Cancelled:
        raise
    except (HostError, OSError) as problem:
        app.warn(f"{as_host_error(problem).message}; what is left to be done, the next command does")


def stands_by(app: App, standby: Candidate) -> ProbeResult:
    """Is it well? One that was live and has ended, as the first to go when memory ran out, is started again, once."""
    try:
        health.wait_until_listening(app, standby)
        found = health.probe(app, standby, 5.0)
        runs = app.host.supervisor.state(standby.slot_paths).state == "running"
        if found.well or runs or standby.record.outcome != "live":
            return found
        return _started_again(app, standby, found)
    except Cancelled:
        raise
    except (HostError, OSError) as problem:
        return ProbeResult(False, as_host_error(problem).message)


def _started_again(app: App, standby: Candidate, found: ProbeResult) -> ProbeResult:
    try:
        with app.step("start") as step:
            step.detail = f"{standby.release} on {standby.color} again"
            app.host.supervisor.stop(standby.slot_paths, STOP_GRACE_S)  # else systemd may just be starting it as well
            start(app, standby)
            health.wait_until_healthy(app, standby, step)
    except Cancelled:
        raise
    except HostError as error:
        app.host.supervisor.stop(standby.slot_paths, STOP_GRACE_S)
        return ProbeResult(False, f"{found.says}; and when it was started again: {error.message}")
    return ProbeResult(True, "")


def _roll_back(app: App, cutover: Cutover, error: HostError) -> None:
    standby = cutover.standby
    if standby is None:
        why = "there is no release before it to roll back to"
        slot = cutover.previous_slot
        if slot:
            why = f"it stays live, because the record of {slot.held} on {slot.color} cannot be read"
        raise NeedsHuman(f"{error.message}; {why}", error.evidence, error.hint)
    finding = stands_by(app, standby)
    if not finding.well:
        text = f"{error.message}; it stays live, because {standby.color} is not well either: {finding.says}"
        raise NeedsHuman(text, error.evidence, error.hint)
    try:
        app.host.supervisor.enable(standby.slot_paths)
        switch.point_live_to(app, standby.color)
    except (HostError, OSError) as problem:
        text = f"{error.message}; it cannot be rolled back: {as_host_error(problem).message}"
        raise NeedsHuman(text, error.evidence, error.hint) from None
    with best_effort(app):
        switch.settle(app)
        app.journal.write("rolled_back", cutover.story_id, to=standby.color)
        releases.mark(app.paths, cutover.candidate.record, "rolled_back")
    agreed = cutover.previous_agreement or cutover.agreement  # the release before is served under the names that it had
    try:
        app.host.provisioning.open_route(agreed)  # what was unwell may have been nginx too
        switch.verify(app, standby, agreed)
    except (HostError, OSError) as problem:
        unproved = as_host_error(problem)
        text = f"{error.message}; rolled back to {standby.release} on {standby.color}, but: {unproved.message}"
        raise NeedsHuman(text, [*unproved.evidence, *error.evidence], "teal status") from None
    with best_effort(app):
        app.host.supervisor.stop(cutover.candidate.slot_paths, STOP_GRACE_S)
    raise RolledBack(_rolled_back(cutover, error), error.evidence, error.hint)


def _rolled_back(cutover: Cutover, error: HostError) -> str:
    left = cutover.previous_slot
    here = f"{left.held} on {left.color} serves again" if left else "nothing is live, as before"
    return f"{error.message}; rolled back: {here}"
