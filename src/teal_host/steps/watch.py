"""After the switch: see whether the new color stays well under real traffic."""

import time
from typing import List, Optional

from teal_host.ground.errors import Unhealthy
from teal_host.state.app import App, Running
from teal_host.steps import health
from teal_host.steps.candidate import Candidate
from teal_host.steps.error_rate import AnswerCounts, AnswerLog, clearly_worse
from teal_host.steps.health import ProbeResult
from teal_host.wire.values import dataclass

_BETWEEN_S = 0.5
_BAD_IN_A_ROW = 3  # one slow answer is no reason to roll back; a dead process is, at once
_ANSWER_WITHIN_S = 2.0
_NOBODY = AnswerCounts(0, {})


@dataclass(frozen=True)
class Watched:
    """The new color and the one before it, and how nginx says that they answer."""

    candidate: Candidate
    before: Optional[Candidate]
    tally: AnswerLog

    def new(self) -> AnswerCounts:
        return self.tally.of(self.candidate.port)

    def old(self) -> AnswerCounts:
        """Of what it was asked before the switch: since then it gets no new request."""
        return self.tally.of(self.before.port) if self.before else _NOBODY


def stay_well(app: App, watched: Watched, step: Running) -> None:
    """Raises Unhealthy when the color turns bad within keep.watch_s."""
    candidate = watched.candidate
    seconds = candidate.spec.keep.watch_s
    deadline = time.monotonic() + seconds
    bad: List[ProbeResult] = []
    while time.monotonic() < deadline:
        finding = health.probe_candidate(app, candidate, _ANSWER_WITHIN_S)
        bad = [] if finding.well else [*bad, finding]
        when = f"{seconds - (deadline - time.monotonic()):.1f} s after the switch"
        if finding.hopeless or len(bad) >= _BAD_IN_A_ROW:
            _end_with_the_machine(app)
            raise health.unhealthy(app, candidate, bad, when)
        _refuse_bad_answers(app, watched, when)
        step.say(f"watching for {seconds:g} s" if finding.well else finding.says)
        time.sleep(max(0.0, min(_BETWEEN_S, deadline - time.monotonic())))
    step.detail = f"stayed well; of its requests {watched.new()}" if seconds else "not watched"


def _end_with_the_machine(app: App) -> None:
    """When that goes down it ends all programs, which proves nothing against this one. So this ends, too, in the middle
    of its story, without keeping the machine from it: the next command after the boot looks again.
    """
    if app.host.supervisor.is_ending():
        raise SystemExit("the machine goes down")


def _refuse_bad_answers(app: App, watched: Watched, when: str) -> None:
    """It may find itself well and yet fail its visitors. Raises Unhealthy."""
    watched.tally.read()
    new, old, candidate = watched.new(), watched.old(), watched.candidate
    if not clearly_worse(new, old):
        return
    _end_with_the_machine(app)
    text = f"{candidate.release} on {candidate.color} fails its visitors {when}, though it finds itself well: {new}"
    counts = [f"{candidate.color}, since the switch: {new}"]
    counts += [f"{watched.before.color}, before it: {old}"] if watched.before else []
    output = [f"│ {line}" for line in health.recent_output(app, candidate)]
    evidence = [*counts, *(["the program's last lines:", *output] if output else [])]
    raise Unhealthy(text, evidence, f"see: teal logs --color {candidate.color}")
