"""start.json is a contract between two versions: the client's server side writes it, the installed one reads it."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from teal_host.supervisors import launch


class Started(Exception):
    """Stands in for the program, and records its arguments and environment."""


@pytest.fixture
def color(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def execve(path: str, argv: list[str], env: dict[str, str]) -> None:
        raise Started(argv, env)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(signal, "signal", lambda *ignored: None)
    (tmp_path / "blue").touch()
    return tmp_path


def keep_start(color: Path, **more: Any) -> None:
    start = {"release": "0001-aaaaaaaaaaaa", "argv": ["/bin/true", "x"], "env": {"A": "1"}, "cwd": str(color)}
    (color / "start").write_text(json.dumps({**start, **more}))


@pytest.mark.parametrize("more", [{}, {"format": 1}, {"format": 1, "later": [1]}], ids=["before", "now", "a key more"])
def test_launch_starts_what_this_version_and_the_one_before_wrote(color: Path, more: dict[str, Any]) -> None:
    keep_start(color, **more)
    with pytest.raises(Started) as started:
        launch.main([str(color), "blue"])
    argv, env = started.value.args
    assert argv == ["systemd-cat", "--identifier=0001-aaaaaaaaaaaa", "--", "/bin/true", "x"]
    assert env["A"] == "1"


def test_launch_refuses_a_start_of_a_higher_format(color: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_start(color, format=2)
    assert launch.main([str(color), "blue"]) == launch.CANNOT_START
    assert "a newer Teal wrote start.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"format": "1"}',
        b'{"format": 1, "argv": [], "env": {}, "cwd": "/", "release": "r"}',
        b'{"argv": "/bin/true", "env": {}, "cwd": "/", "release": "r"}',
        b'{"argv": ["/bin/true"], "env": {"A": 1}, "cwd": "/", "release": "r"}',
        b'{"argv": ["/bin/true"], "env": {}, "cwd": "/\\u0000", "release": "r"}',
        b'{"argv": ["/bin/\\ud800"], "env": {}, "cwd": "/", "release": "r"}',
    ],
)
def test_launch_says_what_to_do_about_a_damaged_start(
    color: Path, capsys: pytest.CaptureFixture[str], start: bytes
) -> None:
    (color / "start").write_bytes(start)
    assert launch.main([str(color), "blue"]) == launch.CANNOT_START
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("teal: start.json is damaged (") and line.endswith("); write it anew: teal deploy")
