"""What Teal says about a program, from systemd's properties of the unit."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from teal_host.ground import systemctl
from teal_host.ground.errors import CannotRun, NoProcess
from teal_host.ground.paths import HostPaths
from teal_host.ground.run import Ran
from teal_host.supervisors import journald
from teal_host.supervisors.base import BOOTED
from teal_host.supervisors.systemd import Systemd

EXITED, KILLED, DUMPED = "1", "2", "3"  # ExecMainCode
MEMORY = {"Result": "oom-kill", "ExecMainCode": KILLED, "ExecMainStatus": "9"}


def _exited(status: int) -> dict[str, str]:
    return {"Result": "exit-code", "ExecMainCode": EXITED, "ExecMainStatus": str(status)}


def _killed(status: int, code: str = KILLED) -> dict[str, str]:
    result = "core-dump" if code == DUMPED else "signal"
    return {"Result": result, "ExecMainCode": code, "ExecMainStatus": str(status)}


@pytest.mark.row("C17", "C19")
@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({**MEMORY, "MemoryMax": "infinity"}, "it was ended because memory ran out"),
        (
            {**MEMORY, "MemoryMax": "41943040"},
            "it was ended because memory ran out (it may have 40 MB: [sandbox] memory_mb)",
        ),
        (_exited(0), "it exited with code 0"),
        (_exited(1), "it exited with code 1"),
        (_exited(127), "it exited with code 127"),
        (_exited(203), "it could not be executed (203/EXEC)"),
        (_exited(217), "its user is not there (217/USER)"),
        (_exited(226), "its sandbox could not be made (226/NAMESPACE)"),
        (_exited(228), "its system calls could not be limited (228/SECCOMP)"),
        (_exited(238), "its data directory could not be made (238/STATE_DIRECTORY)"),
        (_exited(243), "what it is to start was not handed over (243/CREDENTIALS)"),
        (_killed(9), "it was ended by SIGKILL"),
        (_killed(15), "it was ended by SIGTERM"),
        (_killed(11, DUMPED), "it was ended by SIGSEGV"),
        (_killed(31, DUMPED), "it was ended by SIGSYS"),
        (_killed(35), "it was ended by signal 35"),
        ({**MEMORY, "MemoryMax": "\u00b2"}, "it was ended because memory ran out"),
        ({**_killed(9), "ExecMainStatus": "\u00b2", "MainPID": "x", "NRestarts": "-1"}, "systemd says signal"),
        ({**_exited(1), "ExecMainStartTimestampMonotonic": str(2**64 - 1)}, "it exited with code 1"),
        ({"Result": "timeout", "ExecMainCode": "0", "ExecMainStatus": "0"}, "systemd says timeout"),
        ({"Result": "resources", "ExecMainCode": "0", "ExecMainStatus": "0"}, "systemd says resources"),
    ],
)
def test_systemd_state_says_how_the_program_ended(
    properties: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{name}={value}" for name, value in {"ActiveState": "failed", "MainPID": "0", **properties}.items()]
    monkeypatch.setattr(systemctl, "run", lambda argv, deadline_s: Ran(0, "\n".join(lines)))
    state = Systemd().state(HostPaths(tmp_path).app("shop").color("blue"))
    assert (state.state, state.end) == ("failed", message)


@pytest.mark.parametrize(("active", "soon"), [("activating", True), ("failed", False), ("deactivating", False)])
def test_systemd_state_says_whether_systemd_starts_the_program_again(
    active: str, soon: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{name}={value}" for name, value in {"ActiveState": active, "MainPID": "0", **_exited(1)}.items()]
    monkeypatch.setattr(systemctl, "run", lambda argv, deadline_s: Ran(0, "\n".join(lines)))
    state = Systemd().state(HostPaths(tmp_path).app("shop").color("blue"))
    assert (state.state, state.restarts_soon) == ("failed", soon)


def test_restarts_are_not_known_when_the_log_of_the_system_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(argv: list[str], deadline_s: float) -> Ran:
        raise CannotRun(f"{argv[0]} did not end within {deadline_s:g} s")

    lines = [f"{name}={value}" for name, value in {"ActiveState": "activating", "NRestarts": "3", **_exited(1)}.items()]
    monkeypatch.setattr(systemctl, "run", lambda argv, deadline_s: Ran(0, "\n".join(lines)))
    monkeypatch.setattr(journald, "run", hang)
    assert Systemd().restarts(HostPaths(tmp_path).app("shop").color("blue")) is None


@pytest.mark.parametrize(("written_at", "end"), [(1.0, BOOTED), (None, "")])
def test_systemd_state_tells_a_program_that_ended_with_the_machine_by_the_time_of_the_boot(
    written_at: float | None, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd forgets a unit that a hand has stopped, too: then it says that the unit has never run."""
    color = HostPaths(tmp_path).app("shop").color("blue")
    color.start.parent.mkdir(parents=True)
    color.start.touch()
    if written_at:
        os.utime(color.start, (written_at, written_at))
    monkeypatch.setattr(systemctl, "run", lambda argv, deadline_s: Ran(0, "ActiveState=inactive\nExecMainCode=0"))
    state = Systemd().state(color)
    assert (state.state, state.end) == ("stopped", end)


LESS = "end on that machine what takes so much (ps, top), then the same command again"


@pytest.mark.hint("end on that machine what takes so much (ps, top), then the same command again")
def test_question_to_systemd_for_which_no_process_can_be_made_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(NoProcess, match="this machine has run out of processes") as raised:
        Systemd().state(HostPaths(tmp_path).app("shop").color("blue"))
    assert raised.value.hint == LESS
    monkeypatch.undo()
    subprocess.run(["true"], check=True)  # as soon as there is room
