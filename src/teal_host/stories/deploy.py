"""The story of a deploy on this side: check, receive, start the candidate, switch, watch, finish."""

import contextlib
from dataclasses import replace
from typing import Iterator

from teal_host.ground import lock, overtaking
from teal_host.ground.errors import GaveWay, HostError, Superseded, Unhealthy, as_host_error
from teal_host.pipe.channel import Channel
from teal_host.state import releases, secrets
from teal_host.state.app import App
from teal_host.state.releases import Record
from teal_host.steps import error_rate, idempotency, ports, prune, requirements, switch
from teal_host.steps.candidate import Candidate
from teal_host.steps.cutover import Cutover, keep_or_stop_previous, start_and_check, switch_traffic
from teal_host.steps.judgement import PATIENT
from teal_host.steps.receive import await_commit, receive_release
from teal_host.steps.rollback_traffic import watch_and_roll_back
from teal_host.steps.scene import Scene, is_unchanged, load_scene, read_scene, renew_fallback
from teal_host.stories import evict, recover
from teal_host.stories.plan import plan
from teal_host.wire.app import AppSpec
from teal_host.wire.messages import Result
from teal_host.wire.requests import Deploy


def deploy(app: App, request: Deploy, channel: Channel) -> Result:
    """Raises HostError; whatever it is, a healthy release serves as before."""
    app.host.proxy.check_site(request.spec.site)
    if channel.is_of_key:
        requirements.check_is_for_all(app.paths, request.spec.run, request.needs)
    requirements.check(app.paths, request.spec.run, request.needs)
    if request.dry_run:
        return plan(app, request, load_scene(app))
    what = "deploy --evict" if request.evict else "deploy"  # no rollback overtakes an eviction
    with lock.of_app(app.paths, what, request.origin, request.wait_s):
        recover.recover(app)
        recorded = idempotency.recorded_result(app, request.id)
        if recorded:
            return recorded
        overtaking.check_not_overtaken(app.journal)
        scene = load_scene(app)
        secrets.check(app.paths, request.spec)
        with overtaking.possible():
            unchanged = not request.evict and is_unchanged(app, request, scene)
        if unchanged:
            return idempotency.record_unchanged(app, scene, "deploy", request.id)
        wanted = _on_agreed_ports(request) if request.evict and scene.agreement else request
        with overtaking.possible():
            _check_route(app, wanted.spec, evict.expected(scene) if request.evict else scene)
        record = receive_release(app, request, scene, channel)
        await_commit(app, record, channel)
        return go_live(app, wanted, _evicted(app, request, scene, record) if request.evict else scene, record)


def _on_agreed_ports(request: Deploy) -> Deploy:
    """Setup moves the port of a live color only after a deploy to the other one, and an eviction waits for neither."""
    return replace(request, spec=replace(request.spec, run=replace(request.spec.run, ports=None, ports2=None)))


def _evicted(app: App, request: Deploy, scene: Scene, record: Record) -> Scene:
    """This `begin` stays open until that of `go_live`."""
    facts = {"what": "deploy", "release": record.release, "left": scene.slots.live, "evict": True}
    app.journal.write("begin", request.id, **facts)
    evict.evict(app, record.release)
    return evict.expected(load_scene(app))


def check_before_build(app: App, spec: AppSpec) -> None:
    """Whatever the configuration alone decides, while the build runs. Raises HostError."""
    app.host.proxy.check_site(spec.site)
    secrets.check(app.paths, spec)
    _check_route(app, spec, load_scene(app))


def _check_route(app: App, spec: AppSpec, scene: Scene) -> None:
    """A conflict, or a route that is not served, is reported before the upload."""
    agreed = app.host.provisioning.agreement_for(spec, scene.slots.idle)
    app.host.provisioning.check_route(agreed, PATIENT.deadline_s)


def go_live(app: App, request: Deploy, scene: Scene, record: Record) -> Result:
    """From here on this side finishes alone."""
    app.journal.write("begin", request.id, what="deploy", release=record.release, left=scene.slots.live)
    try:
        cutover = _cutover(app, request, scene, record)
        with error_rate.counting(app, cutover.upstreams, request.spec.keep.watch_s) as log:
            start_and_check(app, cutover)
            switch_traffic(app, cutover)
            watch_and_roll_back(app, cutover, log)
    except (HostError, OSError) as problem:
        error = as_host_error(problem).about(record.release, scene.slots.idle, scene.slots.live_release)
        with app.best_effort():
            if not isinstance(error, Superseded):  # else the rollback ends the story, or a recovery judges the release
                releases.mark(app.paths, record, error.outcome)
                _clean_up(app, request, scene, error)
        if isinstance(error, (GaveWay, Unhealthy)):
            error.evidence = (*_traffic(app, scene), *error.evidence)
        raise error from None
    return _finish(app, request, cutover)


def _cutover(app: App, request: Deploy, scene: Scene, record: Record) -> Cutover:
    agreed, color = ports.reserve(app, request.spec, scene), scene.slots.idle
    candidate = Candidate(record, color, agreed.pairs, app.paths, agreed.scheme)
    return Cutover.from_scene(scene, candidate, agreed, request.id)


def _clean_up(app: App, request: Deploy, scene: Scene, error: HostError) -> None:
    """After a release that did not stay. A rollback that waits for the lock does not wait for the pruning as well."""
    now = read_scene(app)
    renew_fallback(app, now)
    ports.give_back(app, scene, now)
    if not isinstance(error, GaveWay):
        prune.prune(app, now, (scene.live.spec if scene.live else request.spec).keep.releases)
    idempotency.record_end(app, request.id, error)


def _finish(app: App, request: Deploy, cutover: Cutover) -> Result:
    """The end is written last: whatever fails before it, the next command's recovery finishes."""
    result = None
    with app.best_effort():
        releases.mark(app.paths, cutover.candidate.record, "live")
        keep_or_stop_previous(app, cutover)
        now = read_scene(app)
        old_secrets = evict.known_secrets(app, cutover.candidate.release) if request.evict else ()
        prune.prune(app, now, request.spec.keep.releases)
        result = replace(_live(app, now, cutover), old_secrets=old_secrets)
        idempotency.record_end(app, request.id, result)
    return result or _live(app, read_scene(app), cutover)


def _live(app: App, scene: Scene, cutover: Cutover) -> Result:
    """After a first deploy the client tries the entrance, also if the client has to ask for the result again. Where
    the entrance cannot be told, the release is live all the same.
    """
    result = idempotency.current_result(app, scene, "live")
    with contextlib.suppress(OSError):
        return result if result.previous else replace(result, entrance=switch.entrance(app, cutover.agreement))
    return result


def _traffic(app: App, scene: Scene) -> Iterator[str]:
    """What a person whose deploy was refused wants to know first."""
    live = scene.slots.live
    if live is None:
        yield "traffic stayed where it was: nothing is live"
    elif app.host.supervisor.state(app.paths.color(live)).state == "running":
        yield f"traffic stayed on {scene.slots.live_release} on {live}"
    else:
        yield f"traffic stayed on {scene.slots.live_release} on {live}, which does not run"
