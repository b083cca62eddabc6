"""A command whose pipes the test holds: its user, its end, and every mistake that a client can make meanwhile."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import world as worlds
from harness.world import App, wait_until
from host import pipe
from host.pipe import frame
from teal_host.ground import run
from teal_host.ground.run import Command, Piped
from teal_host.pipe.greet import SYNC
from teal_host.wire.frames import Frame, read_frame
from teal_host.wire.messages import WINDOW

PATH = {"PATH": "/usr/bin:/bin"}


def shell(text: str, user: str | None = None) -> Piped:
    return run.spawn_piped(Command(["sh", "-c", text], PATH, Path("/"), user))


def all_of(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def close(child: Piped) -> int:
    code = child.end(1)
    for descriptor in (child.stdin, child.pidfd):
        os.close(descriptor)
    return code


def test_piped_command_starts_with_default_signals_and_no_extra_descriptor() -> None:
    """The command ignores no signal, inherits no file descriptor, and its own files are closed to others."""
    child = shell("umask; ls /proc/self/fd; grep SigIgn /proc/self/status; echo e > /dev/stderr")
    assert all_of(child.stdout).split() == [b"0077", b"0", b"1", b"2", b"3", b"SigIgn:", b"0" * 16]
    assert all_of(child.stderr) == b"e\n"
    assert close(child) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a command as another user")
def test_piped_command_of_another_user_can_reopen_its_output() -> None:
    child = shell("id -un; id -gn; echo e > /dev/stderr; cat /proc/1/environ", "nobody")
    assert all_of(child.stdout).split() == [b"nobody", b"nogroup"]
    assert all_of(child.stderr).splitlines()[0] == b"e"
    assert close(child) == 1


def test_piped_command_is_ended_with_its_whole_group_and_can_be_ended_again() -> None:
    child = shell("trap '' TERM; sleep 1000 & echo $!; wait; wait")
    pid = int(os.read(child.stdout, 100))
    began = time.monotonic()
    assert child.end(0.3) == -signal.SIGKILL
    assert time.monotonic() - began >= 0.3
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])
    assert close(child) == -signal.SIGKILL
    assert (all_of(child.stdout), all_of(child.stderr)) == (b"", b"")


class Conversation:
    """One exec. The test sits at the client's end of the pipe."""

    def __init__(self, app: App, command: list[str]) -> None:
        argv, pipes = pipe.argv(app.world.root), {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process: Any = subprocess.Popen(argv, **pipes)  # type: ignore[call-overload]
        self.say(pipe.packed())
        self._greet()
        self.say(frame({"type": "exec", "app": app.name, "command": command, "origin": {}}))

    def _greet(self) -> None:
        output = b""
        while not output.endswith(SYNC):
            output += self.process.stdout.read(1)
        assert self.hear().header["type"] == "greeting"

    def say(self, data: bytes) -> None:
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def hear(self) -> Frame:
        frame = read_frame(self.process.stdout)
        assert frame is not None
        return frame

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *failed: object) -> None:
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(60)


def put(data: bytes, last: bool = False) -> bytes:
    return frame({"type": "input", "last": last}, data)


WRONG: dict[str, bytes] = {
    "more than it was asked for": put(bytes(WINDOW)) * 2,
    "more after the last": put(b"x", last=True) + put(b"x"),
    "another request": frame({"type": "status", "app": "shop"}),
    "no frame": b"\xff" * 100,
    "enough": frame({"type": "enough"}),
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with worlds.world(tmp_path_factory.mktemp("exec")) as made:
        app = made.app()
        app.deploy().ok()
        yield app


@pytest.mark.parametrize("sent", WRONG.values(), ids=list(WRONG))
def test_exec_ends_the_command_when_the_client_breaks_the_protocol(live: App, sent: bytes) -> None:
    with Conversation(live, ["sleep", "1000"]) as channel:
        assert channel.hear().header == {"type": "more", "bytes": WINDOW}
        channel.say(sent)
        heard = channel.hear()
        while heard.header["type"] == "more":  # of the bytes that fit into the command's own pipe
            heard = channel.hear()
        assert heard.header == {"type": "exited", "code": 143, "message": ""}


def test_exec_ends_without_seeing_the_end_of_the_pipe(live: App) -> None:
    """Some pipes lose their end, so the server side ends when the command has ended."""
    with Conversation(live, ["true"]) as channel:
        channel.hear()
        assert channel.hear().header["type"] == "exited"
        assert channel.process.wait(60) == 0


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        (put(b"\xff", last=True), "the value of A must be valid Unicode"),
        (put(b"a\0b", last=True), "the value of A must not contain a NUL"),
        (put(b"x" * 32_769, last=True), "the value of A is longer than 32,768 bytes"),
        (put(b"x"), "the value of A is longer than 32,768 bytes"),
        (frame({"type": "block", "last": True}, b"x"), "'block' is not expected here"),
    ],
    ids=["no text", "NUL", "long", "in parts", "a block"],
)
def test_secret_value_is_refused_by_the_server_side_when_malformed(tmp_path: Path, sent: bytes, complaint: str) -> None:
    asked = frame({"type": "envset", "app": "shop", "name": "A", "origin": {}})
    heard = pipe.say(tmp_path / "state", asked + sent)
    assert (heard.answer["type"], heard.answer["code"]) == ("failure", "config")
    assert complaint in heard.said
    assert pipe.left(tmp_path / "state") == set()
