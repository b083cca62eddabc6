"""Whatever was interrupted, the next command that changes the app cleans up first. The link is the truth.

What was not switched is undone. What was switched stays if it is well; if only the other color is, traffic is turned
back, once.
"""

import contextlib
from typing import Optional

from teal_host.ground import files, lock
from teal_host.ground.errors import Cancelled, CannotRun, HostError, Locked, NeedsHuman, RolledBack
from teal_host.ground.journal import Unfinished
from teal_host.ground.paths import AppPaths
from teal_host.state import agreement, releases
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.state.releases import Record
from teal_host.state.slots import Slots, all_colors, read_slots
from teal_host.steps import error_rate, health, idempotency, release, switch
from teal_host.steps.candidate import Candidate
from teal_host.steps.cutover import Cutover, best_effort, keep_or_stop_previous, stands_by
from teal_host.supervisors.base import STOP_GRACE_S
from teal_host.wire.manifest import Origin
from teal_host.wire.messages import Note
from teal_host.wire.reports import Color

_ANSWER_WITHIN_S = 5.0


def recover(app: App) -> None:
    """Bounded: one look at each color, at most one start, at most one turn. Nothing, when nothing was interrupted."""
    _check_formats(app)
    _remove_unfinished(app.paths)
    error_rate.stop_counting(app)
    story = app.journal.unfinished()
    if story or not app.journal.path.exists():
        files.sync_dirs(app.paths.all_folders())  # who was killed may have named what a power cut would still take
    _refuse_unbegun(app, story)
    if story is None:
        return
    slots = read_slots(app.paths)
    interrupted = releases.find(releases.load(app.paths), story.release)
    went_live = story.switched or slots.live_release == story.release
    with app.step("recover") as step:
        if interrupted is None or slots.live is None or slots.live_release != story.release:
            step.detail = _undo(app, story, slots, interrupted)
        else:
            step.detail = _confirm(app, story, slots, interrupted)
    switch.settle(app)
    idempotency.record_end(
        app, story.id, _answer(app, story, step.detail, went_live), by="recovery", detail=step.detail
    )
    app.tell(Note("warning", f"an earlier command was interrupted: {step.detail}"))


def at_boot(app: App) -> None:
    """Once after a boot: only if something was interrupted, and no command that was typed is at work already."""
    if app.journal.unfinished() is None:
        return
    with contextlib.suppress(Locked), lock.held(app.paths.lock, "recover", Origin("root", "this server"), 0):
        recover(app)


def _answer(app: App, story: Unfinished, says: str, went_live: bool) -> idempotency.Answer:
    """What the interrupted command would have been told, read from how things are now."""
    entry = releases.find(releases.load(app.paths), story.release)
    ended = entry.outcome if entry else "refused"
    is_live = read_slots(app.paths).live_release == story.release and story.release is not None
    if is_live and ended == "live":
        return idempotency.current_result(app, "live", story.release)
    kind = NeedsHuman if is_live else RolledBack if went_live else Cancelled
    return kind(f"the command was interrupted: {says}", hint="teal status").about(story.release, None, None)


def _check_formats(app: App) -> None:
    """Raises NeedsHuman where a newer Teal has written what this one would have to understand."""
    agreement.renew_format(app.paths)
    if app.journal.is_newer():
        raise NeedsHuman(f"{app.journal.path} is of a newer Teal", hint="use the Teal that wrote it, or a later one")


def _remove_unfinished(paths: AppPaths) -> None:
    for folder in paths.folders:
        files.remove_unfinished(folder)
    release.remove_unfinished(paths)


def _refuse_unbegun(app: App, story: Optional[Unfinished]) -> None:
    """Releases that were sealed, and then their command was killed before it began with them."""
    for entry in releases.load(app.paths):
        if entry.outcome == "pending" and (story is None or entry.release != story.release):
            releases.mark(app.paths, entry, "refused")


def _undo(app: App, story: Unfinished, slots: Slots, interrupted: Optional[Record]) -> str:
    """It is not what is live, or not any more: its process goes, and traffic stays where it is."""
    for color in all_colors():
        if story.started and color == story.color and color != slots.live:
            app.host.supervisor.stop(app.paths.color(color), STOP_GRACE_S)
    if slots.live is None:
        app.host.provisioning.withdraw_route(app.paths)
    if interrupted and interrupted.outcome == "pending":
        releases.mark(app.paths, interrupted, "rolled_back" if story.switched else "refused")
    return f"{story.release or 'it'} {'was rolled back' if story.switched else 'had not gone live and was undone'}"


def _confirm(app: App, story: Unfinished, slots: Slots, interrupted: Record) -> str:
    """It was switched: it stays if it is well and proved, else the other color takes over if that one is well.

    Raises HostError where nginx does not run: then nothing can be proved, and the next command looks again.
    """
    assert slots.live is not None
    agreed, other = agreement.load(app.paths), slots.idle
    if agreed:
        app.host.proxy.check_site(agreed.site)
    standby = releases.find(releases.load(app.paths), slots.releases[other])
    if agreed is None or _well_and_proved(app, slots.live, interrupted, agreed):
        if interrupted.outcome != "live":
            releases.mark(app.paths, interrupted, "live")
        if story.is_rollback:
            releases.mark_superseded(app.paths, standby, interrupted)
        if agreed and standby:
            live = Candidate(interrupted, slots.live, agreed.ports.of(slots.live), app.paths)
            with best_effort(app):  # as the story itself would have
                keep_or_stop_previous(app, Cutover(live, other, None, agreed, agreed, story.id, started_here=False))
        return f"{interrupted.release} had gone live and stays"
    if standby is None or not stands_by(app, Candidate(standby, other, agreed.ports.of(other), app.paths)).well:
        if interrupted.outcome == "pending":
            releases.mark(app.paths, interrupted, "unhealthy")
        return f"{interrupted.release} had gone live, is not well, and neither is any other"
    app.host.supervisor.enable(app.paths.color(other))
    switch.point_live_to(app, other)
    releases.mark(app.paths, interrupted, "rolled_back")
    app.host.supervisor.stop(app.paths.color(slots.live), STOP_GRACE_S)
    return f"{interrupted.release} had gone live but is not well: rolled back to {standby.release}"


def _well_and_proved(app: App, color: Color, entry: Record, agreed: Agreement) -> bool:
    """The switch may have been interrupted before it was proved through nginx, so that is done again."""
    candidate = Candidate(entry, color, agreed.ports.of(color), app.paths)
    health.wait_until_listening(app, candidate)
    if not _well(app, candidate):
        return False
    try:
        app.host.provisioning.open_route(agreed)
        switch.verify(app, candidate, agreed)
    except Cancelled:
        raise
    except HostError:
        return False
    return True


def _well(app: App, candidate: Candidate) -> bool:
    try:
        return health.probe(app, candidate, _ANSWER_WITHIN_S).well
    except CannotRun:
        return False
