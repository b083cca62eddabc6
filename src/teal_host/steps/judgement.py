"""Is it well? One way to judge whatever can be probed: a release, the route, the answer through nginx.

A probe finds the thing well or sick, or its question fails; then nothing is known. A patience says how many probes
decide, and how long. `decide` only decides; `judge` probes and pauses.
"""

import time
from typing import Callable, List, Literal, Optional, Sequence, Tuple

from teal_host.ground.errors import Cancelled, HostError, as_host_error
from teal_host.wire.values import dataclass

Verdict = Literal["well", "sick", "unknown"]

_FIRST_PAUSE_S, _LONGER = 0.005, 1.3  # pauses grow by a third while the verdict stays the same
_LEISURE = 10  # a pause is at least so much longer than the processor time of the probe before it
_FAIR_S = 1.0  # also for the last probe before the deadline, so that a slow answer is still told from none


@dataclass(frozen=True)
class ProbeResult:
    """One probe. `hopeless`: waiting longer cannot help. `answer`: how the program's answer begins. `silent`: something
    took the connection and gave no answer.
    """

    verdict: Verdict
    reason: str
    hopeless: bool = False
    answer: str = ""
    hint: str = ""
    silent: bool = False

    @property
    def well(self) -> bool:
        return self.verdict == "well"


@dataclass(frozen=True)
class Patience:
    """`successes`, `failures`: so many probes in a row make it well, or sick; None: only the deadline does.

    At the deadline the last probe that knew something decides. Where `successes` is None, it is then well: it was well
    at the start, and has not turned sick. `answer_s` limits one answer, `pause_s` is the longest pause between probes.
    """

    deadline_s: float
    successes: Optional[int] = 1
    failures: Optional[int] = None
    answer_s: float = 5.0
    pause_s: float = 0.1


@dataclass(frozen=True)
class Judgement:
    verdict: Verdict
    reason: str
    probes: Tuple[ProbeResult, ...] = ()

    @property
    def well(self) -> bool:
        return self.verdict == "well"

    @property
    def hopeless(self) -> bool:
        return bool(self.probes) and self.probes[-1].hopeless

    @property
    def hint(self) -> str:
        return self.probes[-1].hint if self.probes else ""


Probe = Callable[[float], ProbeResult]  # takes the limit of one answer in seconds
Watcher = Callable[[Sequence[ProbeResult], float], None]  # takes the probes so far, and how long they took


def watch_for(seconds: float) -> Patience:
    """What has just gone live stays well, unless three probes in a row say otherwise: one slow answer is no reason."""
    return Patience(seconds, None, failures=3, answer_s=2.0, pause_s=0.5)


# For a standby, the live release and nginx: one bad moment is no verdict, just as for a release that is watched.
PATIENT = Patience(30.0, successes=1, failures=3, pause_s=0.5)


def decide(probes: Sequence[ProbeResult], patience: Patience, passed_s: float) -> Optional[Judgement]:
    """What these probes say after so many seconds; None: go on."""
    last = probes[-1] if probes else None
    known = [probe for probe in probes if probe.verdict != "unknown"]
    if last and last.hopeless:
        return Judgement(last.verdict, last.reason, tuple(probes))
    for verdict, enough in (("well", patience.successes), ("sick", patience.failures)):
        if enough and _in_a_row(known, verdict) >= enough:
            return Judgement(known[-1].verdict, known[-1].reason, tuple(probes))
    if passed_s < patience.deadline_s or (last is None and patience.successes):
        return None
    return _at_the_deadline(probes, known, patience)


def pause_s(probes: Sequence[ProbeResult], patience: Patience) -> float:
    """Short when the verdict has just changed, longer with every probe that says the same; one length for a watch."""
    if patience.failures:
        return patience.pause_s
    alike = _in_a_row(probes, probes[-1].verdict)
    return min(patience.pause_s, _FIRST_PAUSE_S * _LONGER ** min(alike - 1, 20))


def judge(probe: Probe, patience: Patience, watcher: Optional[Watcher] = None) -> Judgement:
    """Probe until the patience decides. Raises what the watcher raises, and Cancelled."""
    began = time.monotonic()
    probes: List[ProbeResult] = []
    while True:
        left_s = patience.deadline_s - (time.monotonic() - began)
        judgement = decide(probes, patience, patience.deadline_s - left_s)
        if judgement:
            return judgement
        worked_s = time.thread_time()
        probes.append(_probed(probe, max(_FAIR_S, min(left_s, patience.answer_s))))
        worked_s = time.thread_time() - worked_s
        passed_s = time.monotonic() - began
        if watcher:
            watcher(probes, passed_s)
        if decide(probes, patience, passed_s) is None:
            rest_s = max(pause_s(probes, patience), worked_s * _LEISURE)
            time.sleep(max(0.0, min(rest_s, patience.deadline_s - passed_s)))


def _at_the_deadline(probes: Sequence[ProbeResult], known: Sequence[ProbeResult], patience: Patience) -> Judgement:
    if probes and not known:
        return Judgement("unknown", probes[-1].reason, tuple(probes))
    if patience.successes is None:
        return Judgement("well", "", tuple(probes))
    return Judgement("sick", known[-1].reason, tuple(probes))


def _in_a_row(probes: Sequence[ProbeResult], verdict: str) -> int:
    """How many probes at the end have this verdict."""
    count = 0
    for probe in reversed(probes):
        if probe.verdict != verdict:
            break
        count += 1
    return count


def _probed(probe: Probe, answer_s: float) -> ProbeResult:
    """A question that fails says nothing about what was asked about."""
    try:
        return probe(answer_s)
    except Cancelled:
        raise
    except (HostError, OSError) as problem:
        return ProbeResult("unknown", as_host_error(problem).message)
