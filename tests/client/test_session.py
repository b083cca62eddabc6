"""One pipe to a server side.

The session survives any output before the greeting, and soon reports a server that never greets.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from teal.ground import run
from teal.ground.errors import CannotReach, HostFailed
from teal.pipe.bootstrap import payload
from teal.pipe.session import PipeEnded, Session
from teal.transports import Transport
from teal_host.wire.messages import Greeting
from teal_host.wire.reports import StatusReport
from teal_host.wire.requests import Logs, Rollback, Status
from teal_host.wire.uploads import Block

PATIENCE_S = 60.0  # far more than a session takes on a busy machine
NEVER_S = 600.0  # for the session's own deadlines, so that a test fails if the session waits for one of them


def transport(root: Path, *python: str) -> Transport:
    return Transport("the shop", python, ("--root", str(root)), own_session=True, greets_within_s=NEVER_S)


def shell(root: Path, script: str) -> Transport:
    """A server that is a shell script; `GO_ON` in the script becomes the server side."""
    go_on = script.replace("GO_ON", f'exec \'{sys.executable}\' -I -S "$0" "$@"')
    return transport(root, "/bin/sh", "-c", go_on)


def refused(transport: Transport) -> CannotReach:
    with pytest.raises(CannotReach) as raised:
        Session(transport)
    return raised.value


def asked(session: Session) -> StatusReport:
    session.send(Status("shop"))
    (answer,) = session.events()
    assert isinstance(answer, StatusReport)
    return answer


NOISE = {
    "nothing": "",
    "a line": "echo Welcome to the shop;",
    "no line break": "printf 'Last login: never';",
    "64 KB": "head -c 65000 /dev/zero | tr '\\0' 'x';",
    "many lines": "for i in 1 2 3 4 5 6 7 8 9; do yes motd | head -n 1000; done;",
    "bytes": "head -c 5000 /dev/urandom | tr -d 'T';",
    "half of the word": "printf '\\nTEAL-HOST-';",
    "the word without its end": "printf '\\nTEAL-HOST-1 is near\\n';",
    "line breaks": "printf '\\n\\n\\n\\r\\n';",
    "on standard error": "echo 'sudo: unable to resolve host' >&2;",
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=list(NOISE))
def test_session_skips_login_output_before_the_greeting(noise: str, tmp_path: Path) -> None:
    with Session(shell(tmp_path, f"{noise} GO_ON")) as session:
        assert isinstance(session.greeting, Greeting)
        assert session.greeting.system == "linux"
        assert asked(session).app == "shop"


SILENT = {
    "ends at once": ("exit 3", ()),
    "ends with words": ("echo 'no login here'; exit 1", ("no login here",)),
    "only noise, then ends": ("for i in 1 2 3; do echo motd $i; done", ("motd 1", "motd 2", "motd 3")),
    "an older word": ("printf '\\nTEAL-HOST-0\\n'", ("TEAL-HOST-0",)),
    "the word and nothing else": ("printf 'hello\\n\\nTEAL-HOST-1\\n'", ("hello",)),
    "the word and then noise": ("printf '\\nTEAL-HOST-1\\n'; echo 'and then this is no frame at all'", ()),
    "control characters": ("printf '\\033[31mred\\007\\n'", ("\x1b[31mred",)),
}


@pytest.mark.parametrize(("script", "evidence"), SILENT.values(), ids=list(SILENT))
def test_session_reports_soon_what_a_server_said_instead_of_greeting(
    script: str, evidence: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "ENDS_WITHIN_S", NEVER_S)
    began = time.monotonic()
    error = refused(shell(tmp_path, script))
    assert time.monotonic() - began < PATIENCE_S
    assert error.message == "the server side did not start on the shop"
    assert error.exit_code == 4
    heard = "\n".join(error.evidence)
    assert all(words in heard for words in evidence)
    assert len(error.evidence) <= 10


def test_session_says_so_when_a_login_script_prints_without_end(tmp_path: Path) -> None:
    error = refused(shell(tmp_path, "while :; do echo motd; done"))
    assert error.message == "the shop printed more than 64 KiB before the server side could answer"
    assert (error.exit_code, "login script" in error.hint, error.evidence[0]) == (4, True, "motd")


WORDS = {
    "echo not found >&2; exit 127": ("there is no python3 on the shop", "apt install python3"),
    "printf '\\nTEAL-HOST-TOO-OLD 3.7\\n'; exit 97": ("is 3.7; Teal needs 3.9 or newer", "a newer Debian"),
    "printf '\\nTEAL-HOST-SEND\\n\\nTEAL-HOST-INCOMPLETE json\\n'": ("has no module json", "apt install python3"),
    "printf '\\nTEAL-HOST-SUDO me\\n'; exit 1": ("me may not use sudo without a password on the shop", "NOPASSWD"),
    "printf '\\nTEAL-HOST-SUDO me\\n\\nTEAL-HOST-NO-SUDO me\\n'": ("there is no sudo", "apt install sudo"),
    "printf '\\nTEAL-HOST-SUDO me\\n\\nTEAL-HOST-SEND\\n'; exit 1": ("did not start", ""),
}


@pytest.mark.parametrize(("script", "expected"), WORDS.items(), ids=lambda value: str(value)[:40])
def test_session_explains_the_word_of_a_server_side_that_did_not_start(
    script: str, expected: tuple[str, str], tmp_path: Path
) -> None:
    error = refused(shell(tmp_path, script))
    assert expected[0] in error.message
    assert expected[1] in error.hint
    assert error.exit_code == 4


GREETED = "printf '\\nTEAL-HOST-1\\n\\0\\0\\0\\%o\\0\\0\\0\\0%s'; exec sleep 600"


@pytest.mark.parametrize("greeting", ['{"type":"greeting","protocol":2}', '{"type":"greeting","color":"teal"}'])
@pytest.mark.row("B13")
def test_session_reports_a_server_side_of_another_teal(greeting: str, tmp_path: Path) -> None:
    error = refused(shell(tmp_path, GREETED % (len(greeting), greeting)))
    assert error.message == "the server side on the shop is of another version of Teal"
    assert error.hint == "teal setup (as the server's admin); if that finds a newer Teal there, update this one"


@pytest.mark.parametrize("script", ["exec sleep 600", "cat > /dev/null", "trap '' TERM; while :; do sleep 1; done"])
def test_session_leaves_a_silent_server_at_the_deadline(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "ENDS_WITHIN_S", NEVER_S)
    began = time.monotonic()
    error = refused(replace(shell(tmp_path, script), greets_within_s=0.5))
    assert time.monotonic() - began < PATIENCE_S
    assert error.message == "the shop did not answer within 0.5 s"
    assert error.evidence == ()


@pytest.mark.parametrize("program", ["/no/such/python", "no-such-python-anywhere"])
def test_session_names_a_program_that_is_missing(tmp_path: Path, program: str) -> None:
    error = refused(transport(tmp_path, program))
    assert error.message == f"cannot start {program}: No such file or directory"


def test_session_reports_a_program_that_may_not_run(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("")
    assert "Permission denied" in refused(transport(tmp_path, str(tmp_path / "python"))).message


def test_session_raises_the_failure_that_the_server_side_sent(tmp_path: Path) -> None:
    with Session(transport(tmp_path / "state", sys.executable, "-I", "-S")) as session:
        session.send(Block())
        with pytest.raises(HostFailed, match="'block' is not expected here") as failed:
            session.receive()
    assert (failed.value.exit_code, failed.value.failure.code) == (3, "config")


def test_session_raises_pipe_ended_at_the_end_of_the_pipe(tmp_path: Path) -> None:
    with Session(transport(tmp_path / "state", sys.executable, "-I", "-S")) as session:
        asked(session)
        with pytest.raises(PipeEnded):
            session.receive()


def test_session_raises_the_refusal_of_the_server_side_and_not_a_broken_pipe(tmp_path: Path) -> None:
    """The server side answers the first message and ends.

    A client that still sends gets the reason, and not only a broken pipe.
    """
    with Session(transport(tmp_path / "state", sys.executable, "-I", "-S")) as session:
        session.send(Block())
        with pytest.raises(HostFailed, match="is not expected here"):
            for _ in range(1000):
                session.send(Block(), b"x" * 100_000)


def test_session_counts_every_byte_sent(tmp_path: Path) -> None:
    with Session(transport(tmp_path / "state", sys.executable, "-I", "-S")) as session:
        before = session.bytes_sent
        assert 10_000 < before < len(payload(server=False)) + 4096  # the greeting and the first request come on top
        session.send(Status("shop"))
        assert session.bytes_sent == before + 8 + len(b'{"type":"status","app":"shop"}')
        list(session.events())


@pytest.mark.parametrize("request_", [Logs("shop", follow=True), Rollback("shop", {}, "0" * 32)])  # type: ignore[arg-type]
def test_server_side_process_ends_when_the_session_is_left(tmp_path: Path, request_: object) -> None:
    with Session(transport(tmp_path / "state", sys.executable, "-I", "-S")) as session:
        pid = session.greeting.pid
        session.send(request_)
    assert not Path(f"/proc/{pid}").exists()
