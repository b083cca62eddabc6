"""Whatever was interrupted, the next command that changes the app cleans up first. The link is the truth.

What was not switched is undone. What was switched stays if it is well; if only the other color is well, traffic is
rolled back, once. What cannot be known is left for the next command.
"""

import contextlib
from dataclasses import dataclass, replace
from typing import List, Optional

from teal_host.ground import files, lock, overtaking
from teal_host.ground.errors import Cancelled, GaveWay, HostError, Locked, NeedsHuman, RolledBack, Superseded
from teal_host.ground.journal import UnfinishedStory
from teal_host.ground.paths import ColorPaths
from teal_host.state import agreement, releases
from teal_host.state.agreement import Agreement
from teal_host.state.app import App, Running
from teal_host.state.releases import Record
from teal_host.steps import drain, error_rate, health, idempotency, release, switch
from teal_host.steps.candidate import Candidate
from teal_host.steps.cutover import Cutover, keep_or_stop_previous
from teal_host.steps.judgement import Judgement, Patience
from teal_host.steps.rollback_traffic import judge_standby, roll_back
from teal_host.steps.scene import Scene, read_scene, renew_fallback
from teal_host.stories import evict
from teal_host.supervisors.base import HURRIED_GRACE_S, STOP_GRACE_S
from teal_host.wire.grammar import COLORS
from teal_host.wire.manifest import Origin
from teal_host.wire.messages import Note

_ONE_PROBE = Patience(1.0, failures=1, answer_s=1.0)


@dataclass(frozen=True)
class SetAside:
    """An interrupted story that a rollback goes past. It ends when the rollback begins: if the rollback is refused
    before that, the next command recovers the story.

    `unjudged`: its release, where that is live and nobody knows whether it is well.
    """

    story_id: str
    unjudged: Optional[str]
    answer: idempotency.Answer
    message: str

    def end(self, app: App) -> None:
        idempotency.record_end(app, self.story_id, self.answer, by="rollback", detail=self.message)


def recover(app: App) -> None:
    """Bounded: one judgement of each color, at most one start, at most one switch. Nothing, when nothing was
    interrupted. An interrupted eviction is done again. Raises GaveWay; then the next command recovers.
    """
    story = _tidy_up(app)
    if story and story.is_eviction:
        evict.evict(app, story.release)
    if story:
        _finish(app, story, read_scene(app))


def set_aside(app: App) -> Optional[SetAside]:
    """For a rollback: a person waits to leave the live release, so nothing is judged, drained or switched."""
    story = _tidy_up(app)
    return _set_aside(app, story, read_scene(app)) if story else None


def _tidy_up(app: App) -> Optional[UnfinishedStory]:
    _check_formats(app)
    _remove_unfinished(app)
    error_rate.stop_counting(app)
    story = app.journal.unfinished()
    _mark_unbegun(app, story)
    return story


def recover_if_free(app: App) -> None:
    """What a killed command left, unless another command is at work, which recovers it as well."""
    origin = Origin("root", "this server")
    with app.best_effort(), contextlib.suppress(Locked, GaveWay), lock.of_app(app.paths, "recover", origin, 0):
        recover(app)
        renew_fallback(app, read_scene(app))


def at_boot(app: App) -> None:
    """Once after a boot, if no command that was typed is at work already: what was interrupted, and the fallback."""
    if app.journal.unfinished() is None and not app.paths.fallback.is_symlink():
        return
    with contextlib.suppress(Locked, GaveWay), lock.of_app(app.paths, "recover", Origin("root", "this server"), 0):
        switch.withdraw_fallback(app)  # systemd starts no standby at a boot, and what follows may take long, or fail
        recover(app)
        renew_fallback(app, read_scene(app))


def _finish(app: App, story: UnfinishedStory, scene: Scene) -> None:
    went_live = story.switched or scene.slots.live_release == story.release
    is_live = scene.live is not None and scene.slots.live_release == story.release
    with app.step("recover") as step:
        step.detail = _confirm(app, story, scene, step) if is_live else _undo(app, story, scene)
        if not is_live and story.unjudged and story.unjudged == scene.slots.live_release:
            step.detail += f"; {_confirm(app, _as_left(story), read_scene(app), step)}"
    switch.settle(app)
    renew_fallback(app, read_scene(app))
    answer = _answer(app, story, step.detail, went_live)
    idempotency.record_end(app, story.id, answer, by="recovery", detail=step.detail)
    app.tell(Note("warning", f"an earlier command was interrupted: {step.detail}"))


def _as_left(rollback: UnfinishedStory) -> UnfinishedStory:
    """The story that an interrupted rollback had gone past: its release is live still, and was never judged."""
    return replace(rollback, release=rollback.unjudged, is_rollback=False, switched=True, had_visitors=True)


def _set_aside(app: App, story: UnfinishedStory, scene: Scene) -> SetAside:
    """The rollback needs no verdict on the release that it leaves, and verifies its own target. What the story has
    started is stopped; a color that had visitors runs on, until a command that needs it drains it.
    """
    if scene.slots.live_release == story.release:
        if scene.live_candidate:
            _mark_unjudged(app, story, scene, scene.live_candidate)
        message = f"{story.release} had gone live, and a rollback goes back from it"
        app.tell(Note("info", f"an earlier command has not ended: {message}"))
        superseded = Superseded(message, hint="teal status").about(story.release, None, None)
        return SetAside(story.id, story.release, superseded, message)
    with app.best_effort():  # whoever needs that color stops it
        for slot in _started_beside(app, story, scene) if not story.had_visitors else ():
            app.host.supervisor.stop(slot, HURRIED_GRACE_S)
    message = _mark_undone(app, story, scene)
    app.tell(Note("warning", f"an earlier command was interrupted: {message}"))
    with app.best_effort():
        switch.settle(app)
    return SetAside(story.id, None, _answer(app, story, message, story.switched), message)


def _mark_unjudged(app: App, story: UnfinishedStory, scene: Scene, live: Candidate) -> None:
    """For the case that the rollback fails: one probe says whether a release that was verified is well."""
    if story.switched and health.judge_release(app, live, _ONE_PROBE).well:
        releases.mark(app.paths, live.record, "live")
    elif not story.is_rollback:
        releases.mark(app.paths, live.record, "superseded")
    if story.is_rollback:
        _mark_left(app, scene, live.record)


def _mark_left(app: App, scene: Scene, target: Record) -> None:
    """The release from which an interrupted rollback had gone back."""
    previous = releases.find(scene.records, scene.slots.releases[scene.slots.idle])
    releases.mark_superseded(app.paths, previous, target)


def _answer(app: App, story: UnfinishedStory, message: str, went_live: bool) -> idempotency.Answer:
    """What the interrupted command would have been told, read from how things are after the recovery."""
    scene = read_scene(app)
    record = releases.find(scene.records, story.release)
    is_live = scene.slots.live_release == story.release and story.release is not None
    if is_live and record and record.outcome == "live":
        return idempotency.current_result(app, scene, "live")
    kind = NeedsHuman if is_live else RolledBack if went_live else Cancelled
    return kind(f"the command was interrupted: {message}", hint="teal status").about(story.release, None, None)


def _check_formats(app: App) -> None:
    """Raises NeedsHuman where a newer Teal has written what this one would have to understand."""
    agreement.renew_format(app.paths)
    if app.journal.is_newer():
        raise NeedsHuman(f"{app.journal.path} is of a newer Teal", hint="use the Teal that wrote it, or a later one")


def _remove_unfinished(app: App) -> None:
    for folder in app.paths.folders:
        files.remove_unfinished(folder)
    release.remove_unfinished(app.paths, app.warn)


def _mark_unbegun(app: App, story: Optional[UnfinishedStory]) -> None:
    """Releases that were sealed, and then their command was killed before it began with them."""
    for record in releases.load(app.paths):
        if record.outcome == "pending" and (story is None or record.release != story.release):
            releases.mark(app.paths, record, "refused")


def _undo(app: App, story: UnfinishedStory, scene: Scene) -> str:
    """If the link does not point to the interrupted release, that one is stopped, and traffic stays where it is."""
    for slot in _started_beside(app, story, scene):
        _stop_interrupted(app, story, scene, slot)
    if scene.slots.live is None:
        app.host.provisioning.withdraw_route(app.paths)
    return _mark_undone(app, story, scene)


def _started_beside(app: App, story: UnfinishedStory, scene: Scene) -> List[ColorPaths]:
    """The color that the story has started, if it is not live."""
    colors = [color for color in COLORS if story.started and color == story.color]
    return [app.paths.color(color) for color in colors if color != scene.slots.live]


def _mark_undone(app: App, story: UnfinishedStory, scene: Scene) -> str:
    record = releases.find(scene.records, story.release)
    if record and record.outcome == "pending":
        releases.mark(app.paths, record, "rolled_back" if story.switched else "refused")
    return f"{story.release or 'it'} {'was rolled back' if story.switched else 'had not gone live and was undone'}"


def _stop_interrupted(app: App, story: UnfinishedStory, scene: Scene, slot: ColorPaths) -> None:
    """Traffic may have been on it until the story, or a recovery, rolled back."""
    record, agreed = releases.find(scene.records, story.release), scene.agreement
    if story.had_visitors and record and agreed:
        drain.wait_and_stop(app, slot, agreed, record.spec.keep.drain_s)
    else:
        app.host.supervisor.stop(slot, STOP_GRACE_S)


def _confirm(app: App, story: UnfinishedStory, scene: Scene, step: Running) -> str:
    """The link points to the interrupted release. It stays if it is well and verified; else traffic is rolled back.

    Raises NeedsHuman where that cannot be known: then nothing is changed, and the next command judges again.
    """
    live, agreed = scene.live_candidate, scene.agreement
    if live is None or agreed is None:
        return _keep(app, story, scene)
    judgement = _judge_live(app, live, agreed, step)
    if judgement.well:
        return _keep(app, story, scene)
    if judgement.verdict == "sick":
        return _roll_back(app, _cutover(scene, story, live, agreed))
    raise _not_known(f"{live.release} serves", judgement)


def _judge_live(app: App, live: Candidate, agreed: Agreement, step: Running) -> Judgement:
    """It may just have come up after a boot, so it gets the patience that it had when it was deployed. Its switch may
    have been interrupted before it was verified, so that is done here.
    """
    app.host.proxy.check_site(agreed.site)
    patience = health.patience_of(live.spec.health)
    with overtaking.possible():
        judgement = health.judge_release(app, live, patience, lambda probes, passed_s: step.say(probes[-1].reason))
    if not judgement.well:
        return judgement
    try:
        app.host.provisioning.open_route(agreed)
    except Cancelled:
        raise
    except HostError as error:
        return Judgement("unknown", error.message)
    with overtaking.possible():
        return switch.judge_answers(app, live, agreed)


def _keep(app: App, story: UnfinishedStory, scene: Scene) -> str:
    record, standby = scene.live, scene.candidate_on(scene.slots.idle)
    assert record is not None
    if record.outcome != "live":
        releases.mark(app.paths, record, "live")
    if story.is_rollback:
        _mark_left(app, scene, record)
    if standby and scene.live_candidate and scene.agreement:
        with app.best_effort():  # as the story itself would have
            keep_or_stop_previous(app, _cutover(scene, story, scene.live_candidate, scene.agreement))
    return f"{record.release} had gone live and stays"


def _roll_back(app: App, cutover: Cutover) -> str:
    sick, standby = cutover.candidate.record, cutover.standby
    judgement = judge_standby(app, standby) if standby else Judgement("sick", "there is none")
    if standby and judgement.verdict == "unknown":
        raise _not_known(f"{standby.release} is well", judgement)
    if standby is None or not judgement.well:
        if sick.outcome == "pending":
            releases.mark(app.paths, sick, "unhealthy")
        return f"{sick.release} had gone live, is not well, and neither is any other"
    roll_back(app, cutover, standby)
    return f"{sick.release} had gone live but is not well: rolled back to {standby.release}"


def _not_known(what: str, judgement: Judgement) -> NeedsHuman:
    text = f"an earlier command was interrupted, and it is not known whether {what}: {judgement.reason}"
    return NeedsHuman(f"{text}; nothing was changed", hint=judgement.hint or "teal doctor")


def _cutover(scene: Scene, story: UnfinishedStory, live: Candidate, agreed: Agreement) -> Cutover:
    """The switch that was interrupted, as far as it is still known."""
    previous = scene.slots.idle
    return Cutover(live, previous, scene.candidate_on(previous), None, agreed, story.id, started_here=False)
