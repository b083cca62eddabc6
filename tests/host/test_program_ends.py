"""A program that ends again and again: since when, how often, and in which way."""

import json
import os
from pathlib import Path

import pytest

from teal_host.ground.errors import CannotRun
from teal_host.ground.paths import HostPaths
from teal_host.ground.run import Ran
from teal_host.supervisors import journald
from teal_host.supervisors.ends import ProcessEnd, ends_in_a_row, restarts_report
from teal_host.supervisors.journald import JournalTail
from teal_host.supervisors.log_file import LogFileTail
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
        '{"__REALTIME_TIMESTAMP":"\\u00b2"}',
        '{"EXIT_CODE":"exited"}',
        "[" * 100_000,
        '{"__REALTIME_TIMESTAMP":"3000000","EXIT_CODE":"killed","EXIT_STATUS":"9"}',
    )
    asked = []

    def lines(argv: list[str], deadline_s: float) -> tuple[str, ...]:
        asked.append(argv)
        return entries if "--lines=303" in argv else ()

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


def logged(*ends: str) -> str:
    """Each with its invocation, which counts up, and how it ended."""
    rows = ((f"{number}000000", f"run {number}", *end.split()) for number, end in enumerate(ends, 1))
    names = ("__REALTIME_TIMESTAMP", "INVOCATION_ID", "EXIT_CODE", "EXIT_STATUS")
    return "\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows)


@pytest.mark.parametrize(("active", "times"), [("active", 2), ("activating", 3)])
def test_ends_are_those_that_systemd_has_counted_when_the_program_ends_again_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, active: str, times: int
) -> None:
    """At 1f740d8 each end while the log was synced took the place of the first one."""
    main = os.getpid() if active == "active" else 0
    properties = f"ActiveState={active}\nMainPID={main}\nNRestarts=2\nExecMainCode=1\nInvocationID=run 4"
    log = logged("exited 7", "killed 9", "exited 1", "exited 1", "exited 1").splitlines()  # the first: before a start
    monkeypatch.setattr("teal_host.ground.systemctl.run", lambda argv, deadline_s: Ran(0, properties))
    monkeypatch.setattr(journald, "run", lambda argv, deadline_s: Ran(0, ""))
    monkeypatch.setattr(journald, "output_lines", lambda *_: log)
    monkeypatch.setattr("teal_host.supervisors.systemd.time.time", lambda: 10.0)
    report = Systemd().restarts(HostPaths(tmp_path).app("shop").color("blue"))
    assert report
    assert (report.times, [end.how for end in report.ends]) == (times, [KILLED, "it exited with code 1"])


@pytest.mark.parametrize(
    ("end", "how"), [("exit 3", "exited with code 3"), ("kill -9 $$", "was ended by signal 9")], ids=["code", "signal"]
)
def test_failure_of_journalctl_on_the_way_ends_the_lines_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, how: str
) -> None:
    color = HostPaths(tmp_path).app("shop").color("blue")
    entry = {"__CURSOR": "c", "_SYSTEMD_UNIT": color.unit, "SYSLOG_IDENTIFIER": "0001-0123456789ab", "MESSAGE": "hello"}
    program = tmp_path / "journalctl"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(entry)}'\necho 'Bad message' >&2\n{end}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(journald, "properties", lambda unit, names: {})
    lines = JournalTail([color]).more()
    assert next(lines).text == "hello"
    with pytest.raises(CannotRun, match=how) as raised:
        next(lines)
    assert raised.value.evidence == ("Bad message",)
    assert how in Systemd().remarks(color)[0]


def test_words_of_journalctl_on_a_damaged_file_are_no_error_of_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "journalctl"
    program.write_text(
        "#!/bin/sh\necho 'Journal file x is truncated, ignoring file.' >&2\necho '{\"MESSAGE\": \"no\"}'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert journald.start_errors("teal-shop@blue.service", 0.0) == ["systemd says: no"]


def test_log_file_that_cannot_be_read_is_an_error_and_one_that_is_not_there_is_empty(tmp_path: Path) -> None:
    color = HostPaths(tmp_path).app("shop").color("blue")
    assert list(LogFileTail([color]).last(10)) == []
    color.log("none").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        list(LogFileTail([color]).last(10))
