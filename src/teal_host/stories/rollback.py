"""The story of a rollback: the same switch, pointed at an older release. At once when that still runs."""

from typing import Optional

from teal_host.ground import lock
from teal_host.ground.errors import HostError, NeedsHuman, NotThere, as_host_error
from teal_host.pipe.channel import Channel
from teal_host.state import releases
from teal_host.state.app import App
from teal_host.state.releases import Record, UnreadableRecord
from teal_host.steps import error_rate, health, idempotency
from teal_host.steps.candidate import Candidate
from teal_host.steps.cutover import (
    Cutover,
    best_effort,
    keep_or_stop_previous,
    start_and_check,
    switch_traffic,
    watch_and_roll_back,
)
from teal_host.steps.scene import Scene, live_is_well, load_scene, standby
from teal_host.stories import recover
from teal_host.wire.messages import Result, Rollback


def rollback(app: App, request: Rollback, channel: Channel) -> Result:
    """Raises NotThere when there is nothing to go back to, and what a deploy raises."""
    if not app.paths.home.is_dir():
        raise NotThere(f"there is no app {app.name} here", hint="teal deploy")
    with lock.held(app.paths.lock, "rollback", request.origin, request.wait_s):
        recover.recover(app)
        before = idempotency.recorded_result(app, request.id)
        if before:
            return before
        scene = load_scene(app)
        target = choose(app, request, scene)
        if scene.agreed:
            app.host.proxy.check_site(scene.agreed.site)
        channel.committed = True
        if target.release == scene.slots.live_release and live_is_well(app, scene):
            return idempotency.record_unchanged(app, request.id)
        return turn_to(app, request, scene, target)


def choose(app: App, request: Rollback, scene: Scene) -> Record:
    """The named release, or the last one before the live release that stayed well, by sequence.

    Raises NeedsHuman when a record in the way cannot be read.
    """
    if request.release is None:
        previous = releases.previous(app.paths, scene.slots.live_release)
        if previous is None:
            raise NotThere("no earlier release stayed well and is still stored", hint="see: teal releases")
        if isinstance(previous, UnreadableRecord):
            raise previous.error()
        return previous
    named = releases.find_named(app.paths, request.release)
    if named is None or not app.paths.release(named.release).is_dir():
        raise NotThere(f"there is no release {request.release} here any more", hint="see: teal releases")
    if named.outcome not in ("live", "pending"):
        app.warn(f"{named.release} is {named.outcome.replace('_', ' ')}; it is checked again")
    return named


def turn_to(app: App, request: Rollback, scene: Scene, target: Record) -> Result:
    """If the target still runs and is well, only the link is turned; else it is started first, as in a deploy."""
    running = _running(app, request, scene, target)
    cutover = running or _to_be_started(app, request, scene, target)
    app.journal.write("begin", request.id, what="rollback", release=target.release, color=cutover.candidate.color)
    try:
        if running is None:
            _started_and_watched(app, cutover)
        else:
            switch_traffic(app, cutover)
    except (HostError, OSError) as problem:
        error = as_host_error(problem)
        error.about(target.release, cutover.candidate.color, scene.slots.live_release)
        with best_effort(app):
            idempotency.record_end(app, request.id, error)
        raise error from None
    with best_effort(app):
        releases.mark(app.paths, target, "live")
        releases.mark_superseded(app.paths, scene.live, target)
        keep_or_stop_previous(app, cutover)
        idempotency.record_end(
            app, request.id, idempotency.current_result(app, "live", target.release)
        )  # last: what is left, recover does
    return idempotency.current_result(app, "live", target.release)


def _started_and_watched(app: App, cutover: Cutover) -> None:
    with error_rate.counting(app, cutover.candidate.spec.keep.watch_s) as counted:
        start_and_check(app, cutover)
        switch_traffic(app, cutover)
        watch_and_roll_back(app, cutover, counted)


def _running(app: App, request: Rollback, scene: Scene, target: Record) -> Optional[Cutover]:
    """The turn to a standby that runs this release and is well."""
    agreed, color = scene.agreed, scene.slots.idle
    if agreed is None or scene.slots.live is None or scene.slots.releases[color] != target.release:
        return None
    candidate = Candidate(target, color, agreed.ports.of(color), app.paths)
    if not health.probe(app, candidate, 5.0).well:
        return None
    return Cutover(candidate, scene.slots.live, standby(app, scene), agreed, agreed, request.id, started_here=False)


def _to_be_started(app: App, request: Rollback, scene: Scene, target: Record) -> Cutover:
    if scene.agreed is None:
        raise NeedsHuman(f"{app.paths.agreed} is missing", hint="teal deploy writes it anew")
    color = scene.slots.idle
    candidate = Candidate(target, color, scene.agreed.ports.of(color), app.paths)
    left, agreed = scene.slots.live, scene.agreed
    return Cutover(candidate, left, standby(app, scene), agreed, agreed, request.id, started_here=True)
