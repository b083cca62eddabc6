"""After the switch Teal watches whether the new color stays well under real traffic."""

import time
from typing import Optional, Sequence

from teal_host.ground.errors import Unhealthy
from teal_host.state.answers import NOBODY, AnswerCounts, clearly_worse
from teal_host.state.app import App, Running
from teal_host.steps import health
from teal_host.steps.candidate import Candidate
from teal_host.steps.error_rate import AnswerLog
from teal_host.steps.judgement import ProbeResult, judge, watch_for
from teal_host.wire.values import dataclass


@dataclass(frozen=True)
class Watched:
    """The new color and its standby, and nginx's log of how both answer."""

    candidate: Candidate
    standby: Optional[Candidate]
    log: AnswerLog

    def new(self) -> AnswerCounts:
        return self.log.of(self.candidate.upstream)

    def old(self) -> AnswerCounts:
        """The standby answered before the switch; since then it gets no new request."""
        return self.log.of(self.standby.upstream) if self.standby else NOBODY


def stay_well(app: App, watched: Watched, step: Running) -> None:
    """Raises Unhealthy when the color turns sick within keep.watch_s."""
    candidate = watched.candidate
    seconds = candidate.spec.keep.watch_s

    def each(probes: Sequence[ProbeResult], passed_s: float) -> None:
        if not probes[-1].well:
            _end_with_the_machine(app)
        if not probes[-1].hopeless:
            _check_answers(app, watched, _when(passed_s))
        step.say(f"watching for {seconds:g} s" if probes[-1].well else probes[-1].reason)

    began = time.monotonic()
    judgement = judge(lambda answer_s: health.probe_candidate(app, candidate, answer_s), watch_for(seconds), each)
    if judgement.verdict == "sick":
        raise health.unhealthy(app, candidate, judgement, _when(time.monotonic() - began))
    if judgement.verdict == "unknown":
        app.warn(f"it is not known whether {candidate.color} stayed well: {judgement.reason}")
    step.detail = f"stayed well; of its requests {watched.new()}" if seconds else "not watched"


def _when(passed_s: float) -> str:
    return f"{passed_s:.1f} s after the switch"


def _end_with_the_machine(app: App) -> None:
    """During shutdown every program is stopped, so its exit says nothing about this release. This process ends in the
    middle of its story as well, so that the machine need not wait; recovery judges after the boot.
    """
    if app.host.supervisor.is_ending():
        raise SystemExit("the machine goes down")


def _check_answers(app: App, watched: Watched, when: str) -> None:
    """A release may be healthy and yet fail its visitors. Raises Unhealthy."""
    watched.log.read()
    new, old, candidate = watched.new(), watched.old(), watched.candidate
    if not clearly_worse(new, old):
        return
    _end_with_the_machine(app)
    text = f"{candidate.release} on {candidate.color} fails its visitors {when}, though its health check is well: {new}"
    counts = [f"{candidate.color}, since the switch: {new}, at {new.failing_clients}"]
    counts += [f"{watched.standby.color}, before it: {old}, at {old.failing_clients}"] if watched.standby else []
    output = [f"│ {line}" for line in health.recent_output(app, candidate)]
    evidence = [*counts, *(["the program's last lines:", *output] if output else [])]
    raise Unhealthy(text, evidence, f"teal logs --color {candidate.color}")
