"""Plain processes that write over their environment, as Perl, Puma and gunicorn do with their titles."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from harness.world import wait_until
from teal_host.ground import processes
from teal_host.ground.paths import ColorPaths, HostPaths
from teal_host.ground.run import Program
from teal_host.supervisors import children
from teal_host.supervisors.process import PlainProcesses

HIDES = """
import ctypes, os, time
from pathlib import Path
if {children}:
    os.fork()
start, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[47:49])
if os.getpid() != os.getsid(0) or {main}:
    ctypes.memset(start, ord("x"), end - start)
Path(f"hidden-{{os.getpid()}}").touch()
time.sleep(600)
"""


@pytest.fixture
def color(tmp_path: Path) -> ColorPaths:
    color = HostPaths(tmp_path).app("shop").color("blue")
    color.home.mkdir(parents=True)
    return color


@pytest.fixture
def supervisor(color: ColorPaths) -> Iterator[PlainProcesses]:
    supervisor = PlainProcesses()
    yield supervisor
    supervisor.stop(color, 5)
    supervisor._reap()


def start(supervisor: PlainProcesses, color: ColorPaths, main: bool, children: bool) -> set[int]:
    """The PIDs of the processes, once they have overwritten their environment."""
    argv = [sys.executable, "-c", HIDES.format(main=main, children=children)]
    supervisor.start(color, Program(argv, {}, color.home, color.home / "logs/log"))
    wait_until(lambda: len(list(color.home.glob("hidden-*"))) == 1 + children)
    return {int(path.name.partition("-")[2]) for path in color.home.glob("hidden-*")}


@pytest.mark.parametrize("children", [False, True])
def test_program_without_its_environment_is_known_by_what_was_recorded(
    supervisor: PlainProcesses, color: ColorPaths, children: bool
) -> None:
    pids = start(supervisor, color, True, children)
    assert processes.with_env(f"TEAL_SLOT={color.home}") == set()
    assert supervisor.pids(color) == pids
    state = supervisor.state(color)
    assert (state.state, state.pid in pids) == ("running", True)


@pytest.mark.parametrize(("main", "children"), [(True, False), (True, True), (False, True)])
def test_stop_ends_a_program_without_its_environment(
    supervisor: PlainProcesses, color: ColorPaths, main: bool, children: bool
) -> None:
    pids = start(supervisor, color, main, children)
    supervisor.stop(color, 5)
    assert not any(processes.life(pid) for pid in pids)
    assert supervisor.state(color).state == "stopped"


def test_stop_ends_a_program_that_does_not_show_its_environment_yet_and_was_not_recorded(
    supervisor: PlainProcesses, color: ColorPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """execve(2) lets its parent go on before the kernel shows the new environment: with a busy machine, half the time.

    At 2d040e6 a program whose start could not be written down, as on a full disk, ran on.
    """
    supervisor.start(color, Program(["sleep", "600"], {}, color.home, color.home / "logs/log"))
    (pid,) = supervisor.pids(color)
    color.process.unlink()
    monkeypatch.setattr(processes, "with_env", lambda _: set())
    supervisor.stop(color, 5)
    assert processes.life(pid) is None
    assert supervisor.pids(color) == set()


@pytest.mark.parametrize("ends", ["the look at its session", "the wait for its children"])
def test_stop_spares_the_session_of_a_stranger_that_took_the_number_meanwhile(
    supervisor: PlainProcesses, color: ColorPaths, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """The main process ends during the stop, and another program leads a session under its number."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        life, session, ended = processes.life, processes.session, threading.Event()
        taken = life(stranger.pid)
        assert taken
        main = replace(taken, ticks=taken.ticks - 1)
        color.process.write_text(json.dumps(asdict(main)))

        def look(pid: int) -> set[int]:
            if ends == "the look at its session":
                ended.set()
            return session(pid)

        monkeypatch.setattr(
            processes, "life", lambda pid: main if pid == main.pid and not ended.is_set() else life(pid)
        )
        monkeypatch.setattr(processes, "session", look)
        monkeypatch.setattr(children, "end", lambda *ignored: ended.set())
        supervisor.stop(color, 0.1)
        assert stranger.poll() is None
        stranger.kill()


def test_stranger_with_the_recorded_number_is_not_believed(supervisor: PlainProcesses, color: ColorPaths) -> None:
    """A PID alone proves nothing: the start time and the boot must match the record."""
    life = processes.life(os.getpid())
    assert life
    color.process.write_text(f'{{"pid": {life.pid}, "ticks": {life.ticks - 1}, "boot": "{life.boot}"}}')
    assert supervisor.pids(color) == set()
    assert supervisor.state(color).state == "failed"


@pytest.mark.parametrize(
    "record", ["", "[]", "[" * 100_000, '{"pid": 1e999, "ticks": 1, "boot": "b", "since": "now"}', '{"since": []}']
)
def test_damaged_record_of_a_process_is_no_process(color: ColorPaths, record: str) -> None:
    color.process.write_text(record)
    assert PlainProcesses().state(color).state == "stopped"
    assert PlainProcesses().state(color).since is None
