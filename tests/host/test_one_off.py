"""The unit of a command of `teal exec`: what it takes from the unit of the app, and how its end is told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from teal_host.ground import run, systemctl
from teal_host.ground.errors import CannotRun
from teal_host.ground.paths import ColorPaths, HostPaths
from teal_host.ground.run import Command, Ran
from teal_host.supervisors import one_off

BLUE: ColorPaths = HostPaths(Path("/")).app("one").color("blue")


def taken(monkeypatch: pytest.MonkeyPatch, text: str) -> list[str]:
    monkeypatch.setattr(systemctl, "text", lambda unit: text.splitlines())
    return "".join(one_off._sandbox(BLUE)).splitlines()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("ExecStart=/bin/x\nUMask=0077", ["UMask=0077"]),
        ("NoExecPaths=/\nExecPaths=/usr /srv", ["NoExecPaths=/", "ExecPaths=/usr /srv"]),
        ("ExecStartPre=/bin/x \\\n  PrivateUsers=no\nUMask=0077", ["UMask=0077"]),
        ("InaccessiblePaths=/a \\\n# why\n  /b\nUMask=0077", ["InaccessiblePaths=/a  /b", "UMask=0077"]),
        ("  InaccessiblePaths=/a", ["InaccessiblePaths=/a"]),
        ("Restart = always\nRestrictNamespaces = yes", ["RestrictNamespaces = yes"]),
        ("; InaccessiblePaths=/a \\\nUMask=0077", ["UMask=0077"]),
        ("ReadWritePaths=/a/%i /b/%%i /c/%%%i", ["ReadWritePaths=/a/blue /b/%%i /c/%%blue"]),
        ("ReadWritePaths=/a/%n/%N/%p/%t", ["ReadWritePaths=/a/teal-one@blue.service/teal-one@blue/teal-one/%t"]),
        ("UMask=0077\n[Install]\nAlias=x", ["UMask=0077"]),
        ("SystemCallFilter=a \\", ["SystemCallFilter=a  "]),
    ],
)
@pytest.mark.row("S7")
def test_command_has_the_sandbox_of_the_app_as_systemd_reads_it(
    monkeypatch: pytest.MonkeyPatch, text: str, lines: list[str]
) -> None:
    assert taken(monkeypatch, f"[Unit]\nAfter=x\n[Service]\n{text}") == lines


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        ({"ExecMainCode": "1", "ExecMainStatus": "0"}, 0),
        ({"ExecMainCode": "1", "ExecMainStatus": "7"}, 7),
        ({"ExecMainCode": "2", "ExecMainStatus": "9"}, -9),
        ({"ExecMainCode": "3", "ExecMainStatus": "11"}, -11),
        ({"ExecMainCode": "0", "ExecMainStatus": "0"}, -15),
        ({}, -15),
    ],
)
@pytest.mark.row("S7")
def test_end_of_a_command_is_no_success_when_somebody_else_stops_its_unit(shown: dict[str, str], code: int) -> None:
    assert one_off._exit_code(shown) == code


@pytest.mark.parametrize("fails_at", ["start", "show"])
def test_command_is_ended_when_its_start_cannot_be_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails_at: str
) -> None:
    """systemd may have started the unit all the same: at 768eec4 it ran on, and its files were gone."""
    asked: list[str] = []

    def answer(argv: list[str], deadline_s: float) -> Ran:
        asked.append(argv[1])
        if argv[1] == fails_at:
            raise CannotRun("systemctl did not end within 60 s")
        return Ran(0, "")

    monkeypatch.setattr(systemctl, "run", answer)
    monkeypatch.setattr(systemctl, "text", lambda unit: [])
    monkeypatch.setattr(one_off, "_UNITS", tmp_path)
    with pytest.raises(CannotRun):
        one_off.spawn(BLUE, Command(("./x",), {}, tmp_path), {})
    assert asked == ["start", *(["show"] if fails_at == "show" else []), "stop", "reset-failed"]
    assert list(tmp_path.iterdir()) == []


def test_unit_of_a_command_is_stopped_when_nobody_can_say_how_the_command_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def answer(argv: list[str], deadline_s: float) -> Ran:
        asked.append(argv[1])
        if argv[1] == "show":
            raise CannotRun("systemctl did not end within 10 s")
        return Ran(0, "")

    monkeypatch.setattr(systemctl, "run", answer)
    monkeypatch.setattr(one_off, "_UNITS", tmp_path)
    with run.pipes(None) as (_, ends):
        unit = one_off._Unit("teal-one.exec-1.service", ends, 0)
        with pytest.raises(CannotRun):
            unit.end(0)
    assert asked == ["show", "stop", "reset-failed"]


@pytest.mark.parametrize("end", [lambda: one_off._end("teal-one.exec-1.service", 0), lambda: one_off.end_all("one")])
def test_unit_of_a_command_is_stopped_again_when_systemd_answered_with_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: Callable[[], None]
) -> None:
    """systemd was re-executing itself: at b8b1865 the command ran on, with its files gone."""
    answers = {
        "stop": [Ran(1, "Failed to connect to bus: Connection refused"), Ran(0, "")],
        "show": [Ran(0, "ActiveState=active\n")],
        "reset-failed": [Ran(0, "")],
    }
    (tmp_path / "teal-one.exec-1.service").touch()
    monkeypatch.setattr(systemctl, "run", lambda argv, deadline_s: answers[argv[1]].pop(0))
    monkeypatch.setattr(one_off, "_UNITS", tmp_path)
    end()
    assert answers == {"stop": [], "show": [], "reset-failed": []}
    assert list(tmp_path.iterdir()) == []
