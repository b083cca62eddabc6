"""After the switch: see whether the new color stays well under real traffic."""

import time
from typing import List

from teal_host import health
from teal_host.app import App, Running
from teal_host.candidate import Candidate
from teal_host.health import Finding

_BETWEEN_S = 0.5
_BAD_IN_A_ROW = 3  # one slow answer is no reason to turn back; a dead process is, at once
_ANSWER_WITHIN_S = 2.0


def stay_well(app: App, candidate: Candidate, step: Running) -> None:
    """Raises Unhealthy when the color turns bad within keep.watch_s."""
    seconds = candidate.spec.keep.watch_s
    deadline = time.monotonic() + seconds
    bad: List[Finding] = []
    while time.monotonic() < deadline:
        finding = health.look_at_new(app, candidate, _ANSWER_WITHIN_S)
        bad = [] if finding.well else [*bad, finding]
        if finding.hopeless or len(bad) >= _BAD_IN_A_ROW:
            raise health.unhealthy(
                app, candidate, bad, f"{seconds - (deadline - time.monotonic()):.1f} s after the switch"
            )
        step.say(f"watching for {seconds:g} s" if finding.well else finding.says)
        time.sleep(max(0.0, min(_BETWEEN_S, deadline - time.monotonic())))
    step.detail = "stayed well" if seconds else "not watched"
