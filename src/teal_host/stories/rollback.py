"""The story of a rollback: the same switch, to an older release. At once, if that release still runs."""

import contextlib
from dataclasses import dataclass, replace
from typing import Dict, Optional

from teal_host.ground import lock, overtaking
from teal_host.ground.errors import HostError, NeedsHuman, NotThere, Superseded, as_host_error
from teal_host.pipe.channel import Channel
from teal_host.state import releases
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.state.releases import Record, UnreadableRecord
from teal_host.steps import error_rate, health, idempotency, switch
from teal_host.steps.candidate import Candidate
from teal_host.steps.cutover import Cutover, keep_or_stop_previous, start_and_check, switch_traffic
from teal_host.steps.judgement import PATIENT
from teal_host.steps.rollback_traffic import watch_and_roll_back
from teal_host.steps.scene import Scene, live_is_well, load_scene, read_scene, renew_fallback
from teal_host.stories import recover
from teal_host.wire.messages import Note, Result
from teal_host.wire.reports import Color
from teal_host.wire.requests import Rollback

_OVERTAKEN = ("deploy", "rollback", "recover", "setup")  # as the lock has it; any other command is waited for
_GIVES_WAY_WITHIN_S = 150.0  # a candidate and its start script get 30 s each to end; a begun switch is verified
_NOTED_WITHIN_S = 1.0  # the lock says who has it
_ASK_AT_LOOKS = 10  # a signal can be lost
_ROUTE_WITHIN_S = 3.0


def rollback(app: App, request: Rollback, channel: Channel) -> Result:
    """Raises NotThere when there is nothing to go back to, and what a deploy raises."""
    if not app.paths.home.is_dir():
        raise NotThere(f"there is no app {app.name} here", hint="teal deploy")
    way = _Way(app, request)
    with lock.of_app(app.paths, "rollback", request.origin, way.cleared_within_s):
        aside = _recover(app, way)
        recorded = idempotency.recorded_result(app, request.id)
        if recorded:
            return recorded
        scene = load_scene(app)
        target = way.target(scene)
        if scene.agreement:
            app.host.proxy.check_site(scene.agreement.site)
            if not way.has_asked:  # the deploy that gave way no longer watches: now only the switch can tell
                _check_route(app, scene.agreement)
        channel.committed = True
        if target.release == scene.slots.live_release and _live_is_well(app, scene):
            if aside:
                aside.end(app)
            return idempotency.record_unchanged(app, scene, "rollback", request.id)
        return go_back(app, _Return(request, scene, target, aside))


def _recover(app: App, way: "_Way") -> Optional[recover.SetAside]:
    if way.leads_past_the_story():
        return recover.set_aside(app)
    recover.recover(app)
    return None


def _check_route(app: App, agreed: Agreement) -> None:
    """An nginx that gives no answer stops no rollback: only an answer can say that the route is another one."""
    with contextlib.suppress(switch.NotKnown), overtaking.possible():
        app.host.provisioning.check_route(agreed, _ROUTE_WITHIN_S)


def _live_is_well(app: App, scene: Scene) -> bool:
    with overtaking.possible():
        return live_is_well(app, scene)


class _Way:
    """A deploy or rollback that holds the lock gives way.

    The target is chosen first: nobody gives way where there is nothing to go back to, and the target stays the same
    when the traffic turns meanwhile.
    """

    def __init__(self, app: App, request: Rollback) -> None:
        self._app, self._request = app, request
        self._in_sight: Optional[Record] = None
        self._asked = 0  # times; again and again, because the next in line may take the lock first
        self._wait_s = max(request.wait_s, _NOTED_WITHIN_S)

    def cleared_within_s(self) -> float:
        """Called whenever the lock is held by somebody."""
        path = self._app.paths.lock
        holder = lock.holder(path)
        if holder and holder.what in _OVERTAKEN and self.leads_past_the_story():
            if not self._asked:
                self._app.tell(Note("info", f"{holder.words}; it is asked to give way"))
            self._asked += 1
            if self._asked % _ASK_AT_LOOKS == 1:
                overtaking.ask(holder.pid, lambda: lock.is_holder(path, holder.pid))
            self._wait_s = max(self._wait_s, _GIVES_WAY_WITHIN_S)
        elif holder and not self._asked:
            return self._request.wait_s
        return self._wait_s

    @property
    def has_asked(self) -> bool:
        """Was another command asked to give way?"""
        return self._asked > 0

    def target(self, scene: Scene) -> Record:
        """Under the lock, after the recovery, which may have gone back by itself."""
        if self._in_sight is None or self._request.release:
            return choose(self._app, self._request, scene)
        target = _find(self._app, replace(self._request, release=self._in_sight.release), scene)
        if self._in_sight.outcome == "live" and target.outcome != "live":  # an eviction came first
            raise NotThere(f"{target.release} is no way back any more", hint="see: teal releases")
        return target

    def leads_past_the_story(self) -> bool:
        """Not to the release of a command that is at work or was interrupted; and it is not that command itself."""
        journal = self._app.journal
        if not self._asked:
            self._in_sight = self._find_target()
        if self._in_sight is None or journal.has(self._request.id):
            return False
        story = journal.unfinished()
        return story is None or (story.release != self._in_sight.release and not story.is_eviction)

    def _find_target(self) -> Optional[Record]:
        """If the other command has gone back by itself already, a rollback without a name goes no further back."""
        try:
            scene, story = load_scene(self._app), self._app.journal.unfinished()
            is_back = story is not None and story.switched and scene.slots.live_release != story.release
            if is_back and scene.live and self._request.release is None:
                return scene.live
            return _find(self._app, self._request, scene)
        except (HostError, OSError):
            return None


def choose(app: App, request: Rollback, scene: Scene) -> Record:
    """The named release, or the last one before the live release that stayed well, by sequence.

    Raises NeedsHuman when a record in the way cannot be read.
    """
    target = _find(app, request, scene)
    if request.release and target.outcome not in ("live", "pending"):
        ended = releases.ENDED.get(target.outcome, "did not stay")
        app.warn(f"{target.release} {ended}; it goes live only if it is healthy now")
    return target


def _find(app: App, request: Rollback, scene: Scene) -> Record:
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
    return named


@dataclass(frozen=True)
class _Return:
    """Back to which release, from which scene. `aside`: the interrupted story that is gone past."""

    request: Rollback
    scene: Scene
    target: Record
    aside: Optional[recover.SetAside]


def go_back(app: App, back: _Return) -> Result:
    """If the target still runs and is well, only the link is switched; else it is started first, as in a deploy."""
    request, scene, target = back.request, back.scene, back.target
    cutover = _to_standby(app, request, scene, target) or _to_candidate(app, request, scene, target)
    _begin(app, back, cutover.candidate.color)
    try:
        if cutover.started_here:
            _start_and_watch(app, cutover)
        else:
            switch_traffic(app, cutover)
    except (HostError, OSError) as problem:
        error = as_host_error(problem).about(target.release, cutover.candidate.color, scene.slots.live_release)
        with app.best_effort():
            now = read_scene(app)
            if now.slots.live_release == target.release:  # the switch is done, and stays
                releases.mark_superseded(app.paths, scene.live, target)
            if not isinstance(error, Superseded):  # else the rollback that overtakes ends the story
                renew_fallback(app, now)
                idempotency.record_end(app, request.id, error)
        raise error from None
    return _finish(app, scene, cutover)


def _begin(app: App, back: _Return, color: Color) -> None:
    """If this rollback is killed before its switch, the recovery judges the release that it was to leave."""
    facts: Dict[str, Optional[str]] = {"what": "rollback", "release": back.target.release, "color": color}
    if back.aside:
        back.aside.end(app)
        facts["unjudged"] = back.aside.unjudged
    app.journal.write("begin", back.request.id, **facts)


def _start_and_watch(app: App, cutover: Cutover) -> None:
    with error_rate.counting(app, cutover.upstreams, cutover.candidate.spec.keep.watch_s) as log:
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
        result = _result(app, scene, target)
        idempotency.record_end(app, cutover.story_id, result)
    return result or _result(app, scene, target)


def _result(app: App, before: Scene, target: Record) -> Result:
    result = idempotency.current_result(app, read_scene(app), "live")
    is_newer = before.live is not None and before.live.seq > target.seq
    return replace(result, replaced=before.slots.live_release) if is_newer else result


def _to_standby(app: App, request: Rollback, scene: Scene, target: Record) -> Optional[Cutover]:
    """If the standby runs this release and is well."""
    standby, agreed = scene.candidate_on(scene.slots.idle), scene.agreement
    if standby is None or agreed is None or scene.slots.live is None or standby.release != target.release:
        return None
    with overtaking.possible():
        if not health.judge_release(app, standby, PATIENT).well:
            return None
    return replace(Cutover.from_scene(scene, standby, agreed, request.id), started_here=False, is_rollback=True)


def _to_candidate(app: App, request: Rollback, scene: Scene, target: Record) -> Cutover:
    agreed, color = scene.agreement, scene.slots.idle
    if agreed is None:
        raise NeedsHuman(f"{app.paths.agreed} is missing", hint="teal deploy")
    candidate = Candidate(target, color, agreed.pairs, app.paths, agreed.scheme)
    return replace(Cutover.from_scene(scene, candidate, agreed, request.id), is_rollback=True)
