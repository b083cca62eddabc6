"""The story of a rollback: the same switch, to an older release. At once, if that release still runs."""

from dataclasses import replace
from typing import Optional

from teal_host.ground import lock
from teal_host.ground.errors import HostError, NeedsHuman, NotThere, as_host_error
from teal_host.pipe.channel import Channel
from teal_host.state import releases
from teal_host.state.app import App
from teal_host.state.releases import Record, UnreadableRecord
from teal_host.steps import error_rate, health, idempotency
from teal_host.steps.candidate import Candidate
from teal_host.steps.cutover import Cutover, keep_or_stop_previous, start_and_check, switch_traffic
from teal_host.steps.judgement import PATIENT
from teal_host.steps.rollback_traffic import watch_and_roll_back
from teal_host.steps.scene import Scene, live_is_well, load_scene, read_scene
from teal_host.stories import recover
from teal_host.wire.messages import Result, Rollback


def rollback(app: App, request: Rollback, channel: Channel) -> Result:
    """Raises NotThere when there is nothing to go back to, and what a deploy raises."""
    if not app.paths.home.is_dir():
        raise NotThere(f"there is no app {app.name} here", hint="teal deploy")
    with lock.held(app.paths.lock, "rollback", request.origin, request.wait_s):
        recover.recover(app)
        recorded = idempotency.recorded_result(app, request.id)
        if recorded:
            return recorded
        scene = load_scene(app)
        target = choose(app, request, scene)
        if scene.agreement:
            app.host.proxy.check_site(scene.agreement.site)
        channel.committed = True
        if target.release == scene.slots.live_release and live_is_well(app, scene):
            return idempotency.record_unchanged(app, scene, request.id)
        return go_back(app, request, scene, target)


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
        raise NotThere(f"release {request.release} is not stored here", hint="see: teal releases")
    if named.outcome not in ("live", "pending"):
        app.warn(f"{named.release} is {named.outcome.replace('_', ' ')}; it is checked again")
    return named


def go_back(app: App, request: Rollback, scene: Scene, target: Record) -> Result:
    """If the target still runs and is well, only the link is switched; else it is started first, as in a deploy."""
    cutover = _to_standby(app, request, scene, target) or _to_candidate(app, request, scene, target)
    app.journal.write("begin", request.id, what="rollback", release=target.release, color=cutover.candidate.color)
    try:
        if cutover.started_here:
            _start_and_watch(app, cutover)
        else:
            switch_traffic(app, cutover)
    except (HostError, OSError) as problem:
        error = as_host_error(problem).about(target.release, cutover.candidate.color, scene.slots.live_release)
        with app.best_effort():
            idempotency.record_end(app, request.id, error)
        raise error from None
    return _finish(app, scene, cutover)


def _start_and_watch(app: App, cutover: Cutover) -> None:
    with error_rate.counting(app, cutover.candidate.spec.keep.watch_s) as log:
        start_and_check(app, cutover)
        switch_traffic(app, cutover)
        watch_and_roll_back(app, cutover, log)


def _finish(app: App, scene: Scene, cutover: Cutover) -> Result:
    """The end is written last: whatever fails before it, the next command's recovery finishes."""
    target = cutover.candidate.record
    result = None
    with app.best_effort():
        releases.mark(app.paths, target, "live")
        releases.mark_superseded(app.paths, scene.live, target)
        keep_or_stop_previous(app, cutover)
        result = idempotency.current_result(app, read_scene(app), "live")
        idempotency.record_end(app, cutover.story_id, result)
    return result or idempotency.current_result(app, read_scene(app), "live")


def _to_standby(app: App, request: Rollback, scene: Scene, target: Record) -> Optional[Cutover]:
    """If the standby runs this release and is well."""
    standby, agreed = scene.candidate_on(scene.slots.idle), scene.agreement
    if standby is None or agreed is None or scene.slots.live is None or standby.release != target.release:
        return None
    if not health.judge_release(app, standby, PATIENT).well:
        return None
    return replace(Cutover.from_scene(scene, standby, agreed, request.id), started_here=False)


def _to_candidate(app: App, request: Rollback, scene: Scene, target: Record) -> Cutover:
    agreed, color = scene.agreement, scene.slots.idle
    if agreed is None:
        raise NeedsHuman(f"{app.paths.agreed} is missing", hint="teal deploy writes it anew")
    candidate = Candidate(target, color, agreed.ports.of(color), app.paths)
    return Cutover.from_scene(scene, candidate, agreed, request.id)
