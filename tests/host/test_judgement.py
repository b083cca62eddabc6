"""One judgement for every probed program: how many probes decide, how long they take, and what a failed probe says."""

import pytest

from teal_host.ground.errors import Cancelled, CannotRun
from teal_host.steps import judgement as judgements
from teal_host.steps.judgement import Judgement, Patience, ProbeResult, Verdict, decide, judge, pause_s, watch_for

WELL, SICK = ProbeResult("well", "answers 200"), ProbeResult("sick", "answers 500")
UNKNOWN = ProbeResult("unknown", "systemctl does not answer")
GONE = ProbeResult("sick", "it does not run", hopeless=True)
DOWN = ProbeResult("unknown", "the machine goes down", hopeless=True)
CANDIDATE = Patience(10.0, successes=2)
STANDBY = Patience(10.0, successes=1, failures=3)
WATCH = watch_for(10.0)


@pytest.mark.parametrize(
    ("probes", "patience", "passed_s", "verdict"),
    [
        ([], CANDIDATE, 0.0, None),
        ([], CANDIDATE, 11.0, None),  # at least one probe
        ([WELL], CANDIDATE, 1.0, None),
        ([SICK, WELL, WELL], CANDIDATE, 1.0, "well"),
        ([WELL, SICK, WELL], CANDIDATE, 1.0, None),
        ([SICK] * 50, CANDIDATE, 9.9, None),
        ([SICK] * 50, CANDIDATE, 10.0, "sick"),
        ([WELL, UNKNOWN, WELL], CANDIDATE, 1.0, "well"),
        ([SICK, UNKNOWN], CANDIDATE, 10.0, "sick"),
        ([UNKNOWN] * 9, CANDIDATE, 10.0, "unknown"),
        ([SICK, GONE], CANDIDATE, 1.0, "sick"),
        ([WELL, DOWN], CANDIDATE, 1.0, "unknown"),
        ([SICK], STANDBY, 1.0, None),
        ([SICK, WELL], STANDBY, 1.0, "well"),
        ([SICK, SICK, SICK], STANDBY, 1.0, "sick"),
        ([SICK, SICK, UNKNOWN, SICK], STANDBY, 1.0, "sick"),
        ([UNKNOWN] * 9, STANDBY, 1.0, None),
        ([], watch_for(0), 0.0, "well"),
        ([WELL] * 9, WATCH, 9.9, None),
        ([WELL] * 9, WATCH, 10.0, "well"),
        ([WELL, SICK, SICK], WATCH, 10.0, "well"),
        ([SICK, SICK, WELL, SICK, SICK, SICK], WATCH, 1.0, "sick"),
        ([WELL, UNKNOWN], WATCH, 10.0, "well"),
        ([UNKNOWN, UNKNOWN], WATCH, 10.0, "unknown"),
        ([GONE], WATCH, 1.0, "sick"),
    ],
)
def test_decide_says_what_the_probes_say(
    probes: list[ProbeResult], patience: Patience, passed_s: float, verdict: Verdict | None
) -> None:
    judgement = decide(probes, patience, passed_s)
    assert (judgement.verdict if judgement else None) == verdict


def test_decide_gives_the_reason_of_the_last_probe_that_knew_something() -> None:
    judgement = decide([SICK, UNKNOWN], CANDIDATE, 10.0)
    assert judgement == Judgement("sick", "answers 500", (SICK, UNKNOWN))


def test_pause_grows_while_the_verdict_stays_the_same_and_starts_anew_when_it_changes() -> None:
    pauses = [pause_s([SICK] * count, CANDIDATE) for count in range(1, 20)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.005, 0.1)
    assert pause_s([SICK] * 19 + [WELL], CANDIDATE) == 0.005
    assert {pause_s([SICK] * count, WATCH) for count in range(1, 20)} == {0.5}


class Clock:
    """A clock that advances only while somebody waits."""

    now = 0.0
    worked = 0.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.worked

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(judgements, "time", made)
    return made


def test_judge_takes_a_question_that_fails_for_unknown(clock: Clock) -> None:
    def cannot_ask(answer_s: float) -> ProbeResult:
        raise CannotRun("systemctl does not answer")

    judgement = judge(cannot_ask, CANDIDATE)
    assert (judgement.verdict, judgement.reason) == ("unknown", "systemctl does not answer")
    assert clock.now == pytest.approx(10.0)


def test_judge_ends_when_the_client_is_gone(clock: Clock) -> None:
    def aborted(answer_s: float) -> ProbeResult:
        raise Cancelled("the server side was told to end")

    with pytest.raises(Cancelled):
        judge(aborted, CANDIDATE)


def test_judge_limits_an_answer_by_what_is_left_and_gives_the_last_probe_a_fair_second(clock: Clock) -> None:
    limits: list[float] = []

    def slow(answer_s: float) -> ProbeResult:
        limits.append(answer_s)
        clock.now += answer_s
        return SICK

    judge(slow, Patience(8.0, answer_s=5.0, pause_s=0.0))
    assert limits == [5.0, 3.0]
    limits.clear()
    judge(slow, Patience(0.3))
    assert limits == [1.0]


def test_judge_does_not_pause_after_the_probe_that_decides(clock: Clock) -> None:
    assert judge(lambda answer_s: WELL, STANDBY).well
    assert clock.now == 0
    assert judge(lambda answer_s: SICK, STANDBY).verdict == "sick"
    assert clock.now == pytest.approx(0.2)


def test_judge_pauses_longer_when_a_probe_takes_much_of_a_processor(clock: Clock) -> None:
    def laborious(answer_s: float) -> ProbeResult:
        clock.worked += 0.1
        clock.now += 0.1
        return SICK

    judge(laborious, Patience(30.0))
    assert clock.worked <= 30 / 10
