"""From a sealed release to traffic, for deploy and rollback. Until the switch nothing that serves is touched."""

import contextlib
from typing import Iterator, NoReturn, Optional, Tuple

from teal_host.ground import overtaking
from teal_host.ground.errors import (
    CannotRun,
    GaveWay,
    HostError,
    NeedsHuman,
    NoProcess,
    RolledBack,
    Superseded,
    Unhealthy,
    as_host_error,
)
from teal_host.ground.paths import ColorPaths
from teal_host.proxies.upstream import Upstream
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.state.slots import assign_release, read_slots
from teal_host.steps import drain, health, switch
from teal_host.steps.candidate import Candidate, environment_of, start, warn_if_memory_is_short
from teal_host.steps.scene import Scene, read_scene, renew_fallback
from teal_host.supervisors.base import HURRIED_GRACE_S, STOP_GRACE_S
from teal_host.wire.reports import Color
from teal_host.wire.values import dataclass


@dataclass(frozen=True)
class Cutover:
    """One switch of traffic: to which candidate, from which color, and what was agreed before and is from now on.

    `previous_color`: where the link points before the switch. `standby`: the release there; None also where its record
    is damaged. `started_here`: this story starts the candidate, so this story stops it when it fails. `is_rollback`: a
    person asked for it.
    """

    candidate: Candidate
    previous_color: Optional[Color]
    standby: Optional[Candidate]
    previous_agreement: Optional[Agreement]
    agreement: Agreement
    story_id: str
    started_here: bool
    is_rollback: bool = False

    @classmethod
    def from_scene(cls, scene: Scene, candidate: Candidate, agreed: Agreement, story_id: str) -> "Cutover":
        """From what is live to a candidate that this story starts."""
        return cls(candidate, scene.slots.live, scene.live_candidate, scene.agreement, agreed, story_id, True)

    @property
    def upstreams(self) -> Tuple[Upstream, ...]:
        """Where nginx asks the colors between which the traffic turns."""
        return tuple(color.upstream for color in (self.candidate, self.standby) if color)

    @property
    def previous_slot(self) -> Optional[ColorPaths]:
        return self.candidate.paths.color(self.previous_color) if self.previous_color else None


def start_and_check(app: App, cutover: Cutover) -> None:
    """Start the release on the idle color and probe it. Raises Unhealthy; then its process is gone again."""
    candidate = cutover.candidate
    environment_of(candidate)  # a lost secret is reported before anything is stopped
    with app.step("start") as step:
        _offer_previous(app, cutover)  # a candidate never stands in for what is live
        agreed = cutover.previous_agreement or cutover.agreement
        with overtaking.possible():
            drain.wait(step, candidate.slot_paths, agreed, candidate.spec.keep.drain_s)
        app.journal.write("start", cutover.story_id, release=candidate.release, color=candidate.color)
        drain.stop(step, candidate.slot_paths)
        health.check_ports_are_free(candidate)
        if cutover.standby:
            warn_if_memory_is_short(app, cutover.standby)
        assign_release(app.paths, candidate.color, candidate.release)
        step.detail = f"{candidate.color} on {candidate.upstream.listens_on}"
        try:
            with _stopped_if_it_fails(app, candidate):
                start(app, candidate)
        except NoProcess:
            raise  # the machine's fault, and no word on the release
        except CannotRun as error:
            text = f"{candidate.release} on {candidate.color} is not healthy: {error.message}"
            raise Unhealthy(text, error.evidence, error.hint) from None
    with _stopped_if_it_fails(app, candidate), app.step("health") as step, overtaking.possible():
        health.wait_until_healthy(app, candidate, step)


@contextlib.contextmanager
def _stopped_if_it_fails(app: App, candidate: Candidate) -> Iterator[None]:
    """A candidate that failed must not be restarted by systemd, nor run on because its start was not written down."""
    try:
        yield
    except (HostError, OSError):
        with app.best_effort():
            stop_unvisited(app, candidate.slot_paths)
        raise


def switch_traffic(app: App, cutover: Cutover) -> None:
    """Switch, and verify it through nginx. Raises RolledBack when that fails; traffic is then where it was.

    Raises NeedsHuman where nothing is served all the same, because nginx or the previous release does not run.
    """
    candidate = cutover.candidate
    try:
        with app.step("switch") as step:
            if not (cutover.is_rollback and _route_stands(app, cutover)):
                app.host.provisioning.open_route(cutover.agreement)
            app.host.supervisor.enable(candidate.slot_paths)  # first: what the link points to must come back at boot
            _offer_previous(app, cutover)
            app.journal.write("switching", cutover.story_id, to=candidate.color, left=cutover.previous_color)
            switch.point_live_to(app, candidate.color)
            with overtaking.possible():
                step.detail = switch.verify(app, candidate, cutover.agreement)
            app.journal.write("switched", cutover.story_id, to=candidate.color)
            with app.best_effort():
                switch.settle(app)
    except GaveWay:
        _give_way(app, cutover)
    except (HostError, OSError) as problem:
        error = as_host_error(problem)
        if cutover.is_rollback and isinstance(error, switch.NoProof) and _nginx_is_silent(app, cutover):
            _keep_unproven(app, cutover)
            raise unproven(candidate, error) from None
        _undo(app, cutover, error)
        _check_previous_serves(app, cutover, error)
        raise rolled_back(cutover, error) from None


def _route_stands(app: App, cutover: Cutover) -> bool:
    """A rollback changes no names and ports. Where they are in effect, it does not wait for what apps share; nor does
    it wait for an nginx that gives no answer.
    """
    with overtaking.possible():
        return _serves(app, cutover) is not False


def _nginx_is_silent(app: App, cutover: Cutover) -> bool:
    """Or is it the candidate that gives no answer?"""
    return _serves(app, cutover) is None


def _serves(app: App, cutover: Cutover) -> Optional[bool]:
    """None where nginx gives no answer."""
    with contextlib.suppress(CannotRun):
        return app.host.proxy.serves(cutover.agreement.route(app.paths))
    return None


def _give_way(app: App, cutover: Cutover) -> NoReturn:
    """Raises GaveWay before the switch; the candidate is stopped. After it Superseded, and the traffic stays."""
    if read_slots(app.paths).live == cutover.candidate.color:
        raise superseded(cutover)
    with app.best_effort():
        if cutover.started_here:
            stop_unvisited(app, cutover.candidate.slot_paths)
    raise GaveWay


def superseded(cutover: Cutover) -> Superseded:
    """The rollback takes the traffic, so the command that gives way leaves it where it is."""
    candidate = cutover.candidate
    text = f"{candidate.release} on {candidate.color} was live and gave way to a rollback, which ended its watch"
    return Superseded(text, hint="teal status")


def stop_unvisited(app: App, slot: ColorPaths) -> None:
    """A color that no visitor came to. A rollback that waits does not wait for a program that does not end."""
    app.host.supervisor.stop(slot, HURRIED_GRACE_S if overtaking.is_asked() else STOP_GRACE_S)


def _keep_unproven(app: App, cutover: Cutover) -> None:
    """A person asked for it, and nginx serves nobody now, so the link stays: nginx asks it as soon as it goes on."""
    with app.best_effort():
        app.journal.write("switched", cutover.story_id, to=cutover.candidate.color)
        switch.settle(app)


def unproven(serving: Candidate, error: HostError) -> NeedsHuman:
    """The traffic is rolled back, as far as Teal can do that."""
    text = f"rolled back to {serving.release} on {serving.color}, but: {error.message}"
    return NeedsHuman(text, error.evidence, "teal status")


def _check_previous_serves(app: App, cutover: Cutover, error: HostError) -> None:
    """The link is where it was. Raises NeedsHuman when nothing is served all the same."""
    why = _not_served(app, cutover)
    if why:
        color = cutover.previous_color
        link = f"the link points to {color}, as before" if color else "nothing is live, as before"
        reasons = dict.fromkeys((error.message, why.message, link))  # that nginx does not run may be the error itself
        raise NeedsHuman("; ".join(reasons), error.evidence, why.hint)


def _not_served(app: App, cutover: Cutover) -> Optional[HostError]:
    """Why nothing is served as before the switch, if that is so."""
    slot, agreed = cutover.previous_slot, cutover.previous_agreement
    try:
        app.host.proxy.check_site(cutover.agreement.site)
        if slot and app.host.supervisor.state(slot).state != "running":
            return NeedsHuman(f"{slot.held} on {slot.color} does not run", hint=f"teal logs --color {slot.color}")
        judgement = switch.judge_route(app.host.proxy, agreed.route(app.paths)) if slot and agreed else None
        if judgement and not judgement.well:
            return NeedsHuman(judgement.reason, hint="teal doctor")
    except HostError as problem:
        return problem
    return None


def _undo(app: App, cutover: Cutover, error: HostError) -> None:
    """As it was. Raises NeedsHuman when the link cannot be changed, as on a full disk."""
    candidate = cutover.candidate
    try:
        was_live = read_slots(app.paths).live == candidate.color
        switch.restore(app, cutover.previous_color, cutover.previous_agreement)
    except (HostError, OSError) as problem:
        text = f"{error.message}; rolling back failed as well: {as_host_error(problem).message}"
        raise NeedsHuman(text, error.evidence, "teal status") from None
    with app.best_effort():
        app.journal.write("rolled_back", cutover.story_id, to=cutover.previous_color)
    with app.best_effort():
        if cutover.started_here:
            if was_live:
                drain.wait_and_stop(app, candidate.slot_paths, cutover.agreement, candidate.spec.keep.drain_s)
            else:
                stop_unvisited(app, candidate.slot_paths)


def _offer_previous(app: App, cutover: Cutover) -> None:
    """What is live now stands in for the candidate from the very moment of the switch."""
    switch.offer_fallback(app, cutover.standby, cutover.candidate.spec.keep)


def keep_or_stop_previous(app: App, cutover: Cutover) -> None:
    """The previous release goes on running for an instant rollback, unless the app cannot afford two."""
    slot, keep = cutover.previous_slot, cutover.candidate.spec.keep
    if slot is None or keep.previous_running:
        renew_fallback(app, read_scene(app))
        return
    switch.withdraw_fallback(app)
    drain.wait_and_stop(app, slot, cutover.agreement, keep.drain_s)


def rolled_back(cutover: Cutover, error: HostError) -> RolledBack:
    """Why, and what serves again."""
    slot = cutover.previous_slot
    serves = f"{slot.held} on {slot.color} serves again" if slot else "nothing is live, as before"
    return RolledBack(f"{error.message}; rolled back: {serves}", error.evidence, error.hint)
