"""The story of a rollback: the same switch, pointed at an older release. At once when that still runs."""

from typing import Optional

from teal_host import health, lock, outcome, record, recover, tally
from teal_host.app import App
from teal_host.bring_live import (
    Turn,
    as_far_as_possible,
    keep_or_stop_previous,
    start_and_check,
    turn_traffic,
    watch_over,
)
from teal_host.candidate import Candidate
from teal_host.deploy import Scene, live_is_well, look, standby
from teal_host.errors import HostError, NeedsHuman, NotThere, as_host_error
from teal_host.record import Record
from teal_host.talk import Talk
from teal_host.wire.messages import Result, Rollback


def rollback(app: App, request: Rollback, talk: Talk) -> Result:
    """Raises NotThere when there is nothing to go back to, and what a deploy raises."""
    if not app.paths.home.is_dir():
        raise NotThere(f"there is no app {app.name} here", hint="teal deploy")
    with lock.held(app.paths.lock, "rollback", request.origin, request.wait_s):
        recover.recover(app)
        before = outcome.repeated(app, request.id)
        if before:
            return before
        scene = look(app)
        target = choose(app, request, scene)
        if scene.agreed:
            app.host.proxy.refuse(scene.agreed.site)
        talk.committed = True
        if target.release == scene.slots.live_release and live_is_well(app, scene):
            return outcome.nothing_done(app, request.id)
        return turn_to(app, request, scene, target)


def choose(app: App, request: Rollback, scene: Scene) -> Record:
    """The named release, or the last good one before the live one, by sequence."""
    if request.release is None:
        found = record.good_before(scene.records, scene.slots.live_release, app.paths)
        if found is None:
            raise NotThere("there is no earlier good release to go back to", hint="see: teal releases")
        return found
    named = record.find(scene.records, request.release) or record.numbered(scene.records, request.release)
    if named is None or not app.paths.release(named.release).is_dir():
        raise NotThere(f"there is no release {request.release} here any more", hint="see: teal releases")
    if named.outcome in ("refused", "turned_back"):
        was = "rolled back from" if named.left else f"{named.outcome.replace('_', ' ')} when it was deployed"
        app.warn(f"{named.release} was {was}; it is checked again")
    return named


def turn_to(app: App, request: Rollback, scene: Scene, target: Record) -> Result:
    """If the target still runs and is well, only the link is turned; else it is started first, as in a deploy."""
    running = _running(app, request, scene, target)
    turn = running or _to_be_started(app, request, scene, target)
    app.journal.write("begin", request.id, what="rollback", release=target.release, color=turn.candidate.color)
    try:
        if running is None:
            _started_and_watched(app, turn)
        else:
            turn_traffic(app, turn)
    except (HostError, OSError) as problem:
        error = as_host_error(problem)
        error.about(target.release, turn.candidate.color, scene.slots.live_release)
        with as_far_as_possible(app):
            outcome.end(app, request.id, error)
        raise error from None
    with as_far_as_possible(app):
        record.mark(app.paths, target, "good")
        record.leave(app.paths, scene.live, target)
        keep_or_stop_previous(app, turn)
        outcome.end(app, request.id, outcome.told(app, "live", target.release))  # last: what is left, recover does
    return outcome.told(app, "live", target.release)


def _started_and_watched(app: App, turn: Turn) -> None:
    with tally.begun(app, turn.candidate.spec.keep.watch_s) as counted:
        start_and_check(app, turn)
        turn_traffic(app, turn)
        watch_over(app, turn, counted)


def _running(app: App, request: Rollback, scene: Scene, target: Record) -> Optional[Turn]:
    """The turn to a standby that runs this release and is well."""
    agreed, color = scene.agreed, scene.slots.idle
    if agreed is None or scene.slots.live is None or scene.slots.releases[color] != target.release:
        return None
    candidate = Candidate(target, color, agreed.ports.of(color), app.paths)
    if not health.look(app, candidate, 5.0).well:
        return None
    return Turn(candidate, scene.slots.live, standby(app, scene), agreed, agreed, request.id, fresh=False)


def _to_be_started(app: App, request: Rollback, scene: Scene, target: Record) -> Turn:
    if scene.agreed is None:
        raise NeedsHuman(f"{app.paths.agreed} is missing", hint="teal deploy writes it anew")
    color = scene.slots.idle
    candidate = Candidate(target, color, scene.agreed.ports.of(color), app.paths)
    left, agreed = scene.slots.live, scene.agreed
    return Turn(candidate, left, standby(app, scene), agreed, agreed, request.id, fresh=True)
