"""Traffic goes back to the standby, once: in a watch that finds the new release sick, and in recovery after one."""

from typing import NoReturn

from teal_host.ground import overtaking
from teal_host.ground.errors import Cancelled, GaveWay, HostError, NeedsHuman, Unhealthy, as_host_error
from teal_host.state import releases
from teal_host.state.app import App
from teal_host.steps import drain, health, switch, watch
from teal_host.steps.candidate import Candidate, start
from teal_host.steps.cutover import Cutover, rolled_back, superseded, unproven
from teal_host.steps.error_rate import AnswerLog
from teal_host.steps.judgement import PATIENT, Judgement
from teal_host.steps.watch import Watched
from teal_host.supervisors.base import STOP_GRACE_S


def watch_and_roll_back(app: App, cutover: Cutover, log: AnswerLog) -> None:
    """Watch the live color. If it turns sick, roll back once, onto a standby that is well.

    Raises RolledBack, NeedsHuman when there is no such standby, and Superseded when a rollback ends the watch or the
    judgement of the standby.
    """
    try:
        try:
            with app.step("watch") as step, overtaking.possible():
                watch.stay_well(app, Watched(cutover.candidate, cutover.standby, log), step)
        except Unhealthy as error:
            _rescue(app, cutover, error)
    except GaveWay:
        raise superseded(cutover) from None


def judge_standby(app: App, standby: Candidate) -> Judgement:
    """Well, if need be after one restart: it may hang, or have ended as the first to go when memory ran out.

    Raises GaveWay.
    """
    with overtaking.possible():
        judgement = health.judge_release(app, standby, PATIENT)
    if judgement.verdict != "sick" or standby.record.outcome != "live":
        return judgement
    try:
        _restart(app, standby)
    except Cancelled:
        raise
    except (HostError, OSError) as problem:
        again = as_host_error(problem).message
        return Judgement("sick", f"{judgement.reason}; and when it was started again: {again}")
    return Judgement("well", "")


def roll_back(app: App, cutover: Cutover, standby: Candidate) -> None:
    """Switch to the standby, verify it, and stop the sick release. The link comes first, because it is what serves.

    Raises NeedsHuman where the link cannot be changed, and where nginx cannot confirm that the standby serves.
    """
    try:
        app.host.supervisor.enable(standby.slot_paths)
        switch.point_live_to(app, standby.color)
    except (HostError, OSError) as problem:
        error = as_host_error(problem)
        raise NeedsHuman(f"traffic cannot be rolled back: {error.message}", error.evidence) from None
    with app.best_effort():
        switch.settle(app)
        app.journal.write("rolled_back", cutover.story_id, to=standby.color)
        releases.mark(app.paths, cutover.candidate.record, "rolled_back")
    _verify(app, cutover, standby)
    sick = cutover.candidate
    with app.best_effort():
        drain.wait_and_stop(app, sick.slot_paths, cutover.agreement, sick.spec.keep.drain_s)


def _rescue(app: App, cutover: Cutover, error: Unhealthy) -> NoReturn:
    standby = cutover.standby
    if standby is None:
        slot = cutover.previous_slot
        why = "there is no release before it to roll back to"
        if slot:
            why = f"it stays live, because the record of {slot.held} on {slot.color} cannot be read"
        raise NeedsHuman(f"{error.message}; {why}", error.evidence, error.hint)
    judgement = judge_standby(app, standby)
    if not judgement.well:
        is_not = "is not well either" if judgement.verdict == "sick" else "may not be well either"
        text = f"{error.message}; it stays live, because {standby.color} {is_not}: {judgement.reason}"
        raise NeedsHuman(text, error.evidence, error.hint)
    try:
        roll_back(app, cutover, standby)
    except NeedsHuman as worse:
        text = f"{error.message}; {worse.message}"
        raise NeedsHuman(text, [*worse.evidence, *error.evidence], worse.hint or error.hint) from None
    raise rolled_back(cutover, error)


def _verify(app: App, cutover: Cutover, standby: Candidate) -> None:
    """Under the names that the standby had. nginx may have been unwell, too. A rollback that waits verifies itself."""
    agreed = cutover.previous_agreement or cutover.agreement
    try:
        app.host.provisioning.open_route(agreed)
        with overtaking.possible():
            switch.verify(app, standby, agreed)
    except GaveWay:
        return
    except (HostError, OSError) as problem:
        raise unproven(standby, as_host_error(problem)) from None


def _restart(app: App, standby: Candidate) -> None:
    with app.step("start") as step:
        step.detail = f"{standby.release} on {standby.color} again"
        app.host.supervisor.stop(standby.slot_paths, STOP_GRACE_S)  # else systemd may just be starting it as well
        try:
            start(app, standby)
            with overtaking.possible():
                health.wait_until_healthy(app, standby, step)
        except GaveWay:  # the rollback may go to this very release, and finds it started
            raise
        except HostError:
            app.host.supervisor.stop(standby.slot_paths, STOP_GRACE_S)
            raise
