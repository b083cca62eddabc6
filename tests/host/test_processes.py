"""Teal separates what a process says about itself from what the kernel says."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from teal_host.ground import processes

UNIT = "/system.slice/nginx.service"


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        (f"0::{UNIT}\n", {UNIT}),
        (f"12:pids:/x\n1:name=systemd:{UNIT}\n0::/\n", {UNIT, "/"}),
        ("0::/user.slice/a:b\n", {"/user.slice/a:b"}),
        (f"0::/user.slice/a\x0c0::{UNIT}\n", {f"/user.slice/a\x0c0::{UNIT}"}),
        (f"9:name=other:{UNIT}\n", set()),
        ("", set()),
    ],
)
@pytest.mark.row("S13")
def test_control_groups_are_systemds_alone(text: str, groups: set[str]) -> None:
    assert processes.systemd_groups(text) == groups


@contextmanager
def process(*, name: bytes = b"x", **env: str) -> Iterator[int]:
    """A child that waits, with this name (prctl(2), PR_SET_NAME) and environment."""
    code = "import ctypes, sys; ctypes.CDLL(None).prctl(15, sys.argv[1].encode()); print(flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", code, name.decode()]
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin
        assert child.stdout
        child.stdout.readline()
        yield child.pid
        child.stdin.close()


@pytest.mark.row("S13")
def test_users_are_the_kernels_word_whatever_the_name_says() -> None:
    user = os.getuid()
    for name in (b"a\x0cUid:7 7 7 7", b"a\nUid:7 7 7 7", b") 1 2 3"):
        with process(name=name) as pid:
            assert processes.uids(pid) == (user,) * 4
            assert processes.status(pid)["PPid"] == str(os.getpid())
            assert processes.life(pid)
            assert pid in processes.children(os.getpid())
    assert processes.uids(pid) == ()


def test_executable_has_its_name_after_an_upgrade(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/sleep").resolve().read_bytes())
    program.chmod(0o755)
    with subprocess.Popen([str(program), "1000"]) as child:  # the kernel sets the name before Popen returns
        try:
            assert processes.executable(child.pid) == str(program)
            program.unlink()
            assert processes.executable(child.pid) == str(program)
        finally:
            child.kill()
    assert processes.executable(child.pid) == ""


@pytest.mark.row("S13", "S17")
def test_environment_of_another_user_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with process(TEAL_SLOT="/x") as pid:
        assert processes.with_env("TEAL_SLOT=/x") == {pid}
        another = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: another)
        assert processes.with_env("TEAL_SLOT=/x") == set()


@pytest.mark.row("S13")
def test_title_is_read_only_up_to_a_bound() -> None:
    argv = [sys.executable, "-c", "input(print(flush=True))", "x" * 100_000]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout
            assert child.stdout.readline()
            assert len(processes.command_line(child.pid)) == processes._MOST_OF_A_TITLE
        finally:
            child.kill()
