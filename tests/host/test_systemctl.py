"""systemd while it re-executes itself.

systemd answers nobody for a moment. It may lose an order, or obey without an answer.
"""

import os
from pathlib import Path

import pytest

from teal_host.ground import processes, systemctl
from teal_host.ground.errors import CannotRun
from teal_host.ground.paths import ColorPaths, HostPaths
from teal_host.ground.run import Program
from teal_host.supervisors import journald
from teal_host.supervisors.base import STOP_GRACE_S
from teal_host.supervisors.systemd import Systemd

# Fails as often as the file `fails` says: first at a verb in `unheard`, then at queries, too. `state` is the unit's.
SYSTEMCTL = """\
#!/bin/sh
cd {folder}
echo "$*" >> calls
left=$(cat fails)
if [ "$left" -gt 0 ] && grep -qxe "$1" unheard; then
    echo $((left - 1)) > fails
    [ -e carries_out ] && [ "$1" = start ] && cp started state
    echo show >> unheard
    echo "Failed to connect to bus: Transport endpoint is not connected" >&2
    exit 1
fi
case $1 in
    show) cat state ;;
    start) cp started state; exit $(cat code) ;;
    stop) cp stopped state ;;
esac
"""
STOPPED = "LoadState=loaded\nActiveState=inactive\nMainPID=0\nExecMainCode=1\nExecMainStatus=7\nSystemState=running\n"
RUNNING = "LoadState=loaded\nActiveState=active\nMainPID={pid}\nExecMainStartTimestampMonotonic=99999999999999\n"
REFUSED = "LoadState=loaded\nActiveState=failed\nMainPID=0\nExecMainCode=1\nExecMainStatus=203\n"


class FakeSystemd:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "systemctl"
        program.write_text(SYSTEMCTL.format(folder=folder))
        program.chmod(0o755)
        self.set(
            fails="0",
            unheard="show\nstop\ndaemon-reload\n",
            code="0",
            calls="",
            state=STOPPED,
            stopped=STOPPED,
            started=RUNNING.format(pid=os.getpid()),
        )

    def set(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.folder / name).write_text(text)

    def asked(self, verb: str) -> int:
        return sum(line.startswith(verb) for line in (self.folder / "calls").read_text().splitlines())


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemd:
    (tmp_path / "fake").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'fake'}:{os.environ['PATH']}")
    monkeypatch.setattr(systemctl, "_PAUSE_S", 0.01)
    monkeypatch.setattr(journald, "start_errors", lambda unit, since: [])
    return FakeSystemd(tmp_path / "fake")


@pytest.fixture
def color(tmp_path: Path) -> ColorPaths:
    color = HostPaths(tmp_path).app("shop").color("blue")
    color.home.mkdir(parents=True)
    color.start.write_text("{}")
    return color


def started(color: ColorPaths) -> Systemd:
    supervisor = Systemd()
    supervisor.start(color, Program(["./program"], {}, color.home, color.home / "log"))
    return supervisor


@pytest.mark.parametrize("times", [1, 5])
def test_question_is_asked_again_while_systemd_does_not_answer(
    fake: FakeSystemd, color: ColorPaths, times: int
) -> None:
    fake.set(state=RUNNING.format(pid=os.getpid()), fails=str(times))
    state = Systemd().state(color)
    assert (state.state, state.pid, fake.asked("show")) == ("running", os.getpid(), times + 1)


def test_question_without_an_answer_is_no_state(
    fake: FakeSystemd, color: ColorPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer also leaves nothing of an older stop, with whose words Teal would refuse a deploy."""
    monkeypatch.setattr(systemctl, "_PATIENCE_S", 0.2)
    fake.set(fails="1000")
    with pytest.raises(CannotRun, match="systemd does not answer"):
        Systemd().state(color)


def test_start_is_ordered_again_when_systemd_lost_it(fake: FakeSystemd, color: ColorPaths) -> None:
    fake.set(fails="3", unheard="start\n")
    assert started(color).state(color).state == "running"
    assert fake.asked("start") == 2


def test_start_is_not_ordered_again_when_systemd_carried_it_out_unheard(fake: FakeSystemd, color: ColorPaths) -> None:
    fake.set(fails="3", unheard="start\n", carries_out="")
    assert started(color).state(color).state == "running"
    assert fake.asked("start") == 1


def test_start_that_failed_is_not_ordered_again(fake: FakeSystemd, color: ColorPaths) -> None:
    fake.set(code="1", started=REFUSED)
    with pytest.raises(CannotRun, match=r"could not be executed \(203/EXEC\)"):
        started(color)
    assert fake.asked("start") == 1


def test_stop_is_ordered_again_when_systemd_lost_it(fake: FakeSystemd, color: ColorPaths) -> None:
    fake.set(state=RUNNING.format(pid=os.getpid()), fails="1", unheard="stop\n")
    supervisor = Systemd()
    supervisor.stop(color, STOP_GRACE_S)
    assert (fake.asked("stop"), supervisor.state(color).state) == (2, "stopped")


@pytest.mark.parametrize(
    ("word", "ends"),
    [
        ("stopping", True),
        ("running", False),
        ("degraded", False),
        ("starting", False),
        ("maintenance", False),
        ("offline", False),
        ("unknown", False),
    ],
)
def test_machine_ends_only_when_systemd_is_stopping(fake: FakeSystemd, word: str, ends: bool) -> None:
    fake.set(state=f"SystemState={word}\n", fails="2")
    assert Systemd().is_ending() is ends


def test_machine_does_not_end_when_systemd_does_not_answer(fake: FakeSystemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemctl, "_PATIENCE_S", 0.2)
    fake.set(fails="1000")
    assert not Systemd().is_ending()


def test_units_are_read_again_when_systemd_did_not_hear_it(fake: FakeSystemd) -> None:
    fake.set(fails="2")
    systemctl.reload_units()
    assert fake.asked("daemon-reload") == 3


def test_end_of_the_machine_is_known_when_systemd_shutdown_has_taken_the_place_of_systemd(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "executable", {1: "/usr/lib/systemd/systemd-shutdown"}.__getitem__)
    assert Systemd().is_ending()


def test_stop_kills_sooner_than_the_unit_where_a_rollback_waits(
    fake: FakeSystemd, color: ColorPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit's own limit is half a minute, for whatever it runs."""
    fake.set(state=RUNNING.format(pid=os.getpid()))
    monkeypatch.setattr(Systemd, "pids", lambda self, color: set() if fake.asked("kill --signal=KILL") else {1})
    Systemd().stop(color, 0.1)
    calls = (fake.folder / "calls").read_text().splitlines()
    orders = [call.replace(color.unit, "UNIT") for call in calls if not call.startswith(("show", "reset"))]
    assert orders == ["stop --no-block UNIT", "kill --signal=KILL UNIT", "stop UNIT"]
