"""A program that ends again and again: since when, how often, and in which way."""

from pathlib import Path

import pytest

from teal_host.ground.paths import HostPaths
from teal_host.ground.run import Ran
from teal_host.supervisors import journald
from teal_host.supervisors.ends import ProcessEnd, ends_in_a_row, restarts_report
from teal_host.supervisors.systemd import Systemd

KILLED, EXITED = "it was ended by SIGKILL", "it exited with code 1"


def ends(*times: float, how: str = EXITED) -> list[ProcessEnd]:
    return [ProcessEnd(at, how) for at in times]


@pytest.mark.parametrize(
    ("times", "row"),
    [([], []), ([7], [7]), ([0, 2, 4], [0, 2, 4]), ([0, 1000, 1002], [1000, 1002]), ([0, 299, 598], [0, 299, 598])],
)
def test_row_of_ends_begins_after_the_last_long_run(times: list[float], row: list[float]) -> None:
    assert ends_in_a_row(ends(*times)) == ends(*row)


def test_report_of_restarts_says_since_when_how_often_and_how_a_program_ended() -> None:
    report = restarts_report([*ends(10, how=KILLED), *ends(12, 14, 16)], running=False, now=16)
    assert report is not None
    assert str(report) == (f"since 1970-01-01 00:00:10 UTC it ended 4 times: {KILLED}, {EXITED} (3 times)")
    assert [(end.how, end.times, end.last[-14:-6]) for end in report.ends] == [
        (KILLED, 1, "00:00:10"),
        (EXITED, 3, "00:00:16"),
    ]


@pytest.mark.parametrize(
    ("times", "running", "now", "times_told"),
    [
        ([10], False, 11, 1),
        ([10], True, 11, None),
        ([10, 12], True, 13, 2),
        ([10, 12], True, 80, None),
        ([], False, 1, None),
    ],
)
def test_report_of_restarts_is_of_a_program_that_is_not_back(
    times: list[float], running: bool, now: float, times_told: int | None
) -> None:
    report = restarts_report(ends(*times), running, now)
    assert (report.times if report else None) == times_told


def test_systemd_reads_the_ends_of_a_program_from_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd has its own message for an exit with 0, and the message has no code."""
    properties = "LoadState=loaded\nActiveState=activating\nMainPID=0\nNRestarts=2\nExecMainCode=1\nExecMainStatus=1"
    entries = (
        '{"__REALTIME_TIMESTAMP":"1000000","EXIT_CODE":"exited","EXIT_STATUS":"203"}',
        '{"__REALTIME_TIMESTAMP":"2000000"}',
        '{"__REALTIME_TIMESTAMP":"3000000","EXIT_CODE":"killed","EXIT_STATUS":"9"}',
    )
    asked = []

    def lines(argv: list[str], deadline_s: float) -> tuple[str, ...]:
        asked.append(argv)
        return entries if "--lines=3" in argv else ()

    monkeypatch.setattr("teal_host.ground.systemctl.run", lambda argv, deadline_s: Ran(0, properties))
    monkeypatch.setattr(journald, "run", lambda argv, deadline_s: Ran(0, ""))
    monkeypatch.setattr(journald, "output_lines", lines)
    report = Systemd().restarts(HostPaths(tmp_path).app("shop").color("blue"))
    assert report is not None
    assert [end.how for end in report.ends] == [
        "it could not be executed (203/EXEC)",
        "it exited with code 0",
        KILLED,
    ]
    assert "UNIT=teal-shop@blue.service" in asked[-1] and "_PID=1" in asked[-1]
