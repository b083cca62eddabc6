"""A hostile server: its messages run nothing on this machine, send no file twice, and end in one clear error.

The server is a program called `ssh` on PATH. The program speaks the frames of a server side, and puts anything into
them.
"""

import base64
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contract.judge import judged
from teal.ground.errors import CannotReach
from teal.pipe import session as sessions
from teal.pipe.session import PipeEnded, Session
from teal.transports import Transport
from teal_host.wire.frames import MAX_COMMAS, PROTOCOL
from teal_host.wire.typed import MOST_MISTAKES
from teal_host.wire.upward import MOST_TEXT

TARGET = "ssh://shop.example"
HONEST: dict[str, Any] = {
    "type": "greeting",
    "python": "3.11.2",
    "system": "linux",
    "machine": "x86_64",
    "pid": 4711,
    "libc": "glibc 2.36",
    "protocol": PROTOCOL,
}
HOSTILE_WORDS = [
    "x; touch ../ran; true",
    "$(touch ../ran)",
    "`touch ../ran`",
    "x\ntouch ../ran",
    "x | touch ../ran",
    "-x86_64",
    ".",
    "..",
    "../x86_64",
    "x86 64",
    "x86_64\n",
    "\x1b]0;taken\x07",
    "{os}",
    "'",
    "",
    "x" * 33,
]
SAYS = """
import base64, os, struct, sys
sys.stdout.buffer.write(base64.b64decode("{said}"))
sys.stdout.buffer.flush()
request = b"intended"
while b"intended" in request:
    sizes = sys.stdin.buffer.read(8)
    request = sys.stdin.buffer.read(sum(struct.unpack(">II", sizes))) if sizes else b""
os.close(1)
while sys.stdin.buffer.read1(65536):
    pass
"""


@dataclass(frozen=True)
class Laptop:
    """A project that deploys to the hostile server. A shell runs its build."""

    folder: Path

    @property
    def built(self) -> Path:
        return self.folder / "built"

    @property
    def ran(self) -> Path:
        """The file that a command of the server would make."""
        return self.folder / "ran"

    def project(self, build: str = "") -> None:
        app = self.folder / "project"
        (app / "dist/a").mkdir(parents=True)
        for name in ("app", "web"):
            (app / "dist" / name).write_text("#!/bin/sh\n")
            (app / "dist" / name).chmod(0o755)
        server, run = f'[server]\ntarget = "{TARGET}"', '[run]\ncommand = ["./app"]'
        (app / "teal.toml").write_text(f'app = "shop"\n{server}\n{run}\n[build]\nartifact = "dist"\n{build}')

    def serve(self, *messages: dict[str, Any]) -> None:
        """Makes the server send all these messages without waiting for a request."""
        ssh = self.folder / "bin/ssh"
        ssh.parent.mkdir(exist_ok=True)
        ssh.write_text(f"#!{sys.executable} -IS\n{said(*messages)}")
        ssh.chmod(0o755)

    def session(self, *messages: dict[str, Any], before: str = "") -> Session:
        """A session with a server that sends all these messages."""
        program = said(*messages, before=before) if not before else said(before=before).split("request =")[0]
        command = (sys.executable, "-I", "-S", "-c", program)
        return Session(Transport("the shop", command, (), own_session=True, way=("env",)))

    def remember(self, machine: object) -> None:
        """Writes the file that an earlier deploy would have left."""
        file = self.folder / "cache/teal/machines" / hashlib.sha256(TARGET.encode()).hexdigest()[:16]
        file.parent.mkdir(parents=True)
        file.write_text(machine if isinstance(machine, str) else json.dumps(machine), errors="surrogatepass")

    def teal(self, *words: str) -> "subprocess.CompletedProcess[str]":
        env = {
            **os.environ,
            "GITHUB_ACTIONS": "true",
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "CI": "true",
        }
        command = [sys.executable, "-m", "teal", "-C", str(self.folder / "project/teal.toml"), *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


def said(*messages: dict[str, Any], before: str = "") -> str:
    """A Python program that sends all these messages, hears a request, and then only reads until the client ends."""
    words = f"\n{before or 'TEAL-HOST-1'}\n".encode() + b"".join(framed(message) for message in messages)
    return SAYS.format(said=base64.b64encode(words).decode())


def framed(message: dict[str, Any]) -> bytes:
    text = json.dumps(message).encode()
    return struct.pack(">II", len(text), 0) + text


def for_a_shell(word: str) -> str:
    return f'command = ["sh", "-c", "echo built for {{{word}}} >> ../built"]\n'


@pytest.mark.parametrize(("word", "key"), [("arch", "machine"), ("goarch", "machine"), ("os", "system")])
@pytest.mark.row("S5")
def test_greeting_runs_nothing_in_the_build(word: str, key: str, laptop: Laptop) -> None:
    """At 55bfd35 the shell ran the words of the server: `ran` was made on this machine."""
    laptop.project(for_a_shell(word))
    laptop.serve({**HONEST, key: "x; touch ../ran; true"})
    ended = laptop.teal("deploy")
    assert not laptop.ran.exists()
    assert not laptop.built.exists()
    assert ended.returncode == 4
    assert "shop.example sent what no server side of Teal sends; its answer is not to be trusted" in ended.stderr
    assert f"{key}: 'x; touch ../ran; true' is not the name of a machine" in ended.stderr


@pytest.mark.parametrize("key", ["machine", "system"])
@pytest.mark.row("S5")
def test_remembered_machine_runs_nothing_in_the_build(key: str, laptop: Laptop) -> None:
    """At 55bfd35 the build began with the remembered machine, before any greeting: `ran` was made."""
    word = {"machine": "arch", "system": "os"}[key]
    laptop.project(for_a_shell(word))
    laptop.remember({"machine": "x86_64", "system": "linux", key: "x; touch ../ran; true"})
    laptop.serve(HONEST)
    assert laptop.teal("deploy").returncode == 4  # the server ends the conversation here
    assert not laptop.ran.exists()
    assert laptop.built.read_text() == f"built for {HONEST[key]}\n"


@pytest.mark.parametrize(
    "remembered",
    ["", "[]", "7", "{}", '{"machine": 7, "system": null}', "[" * 100_000, "\ud800", '{"machine": "x86_64"}'],
)
@pytest.mark.row("S5")
def test_machine_is_forgotten_when_its_file_is_damaged(remembered: str, laptop: Laptop) -> None:
    laptop.project(for_a_shell("arch"))
    laptop.remember(remembered)
    laptop.serve(HONEST)
    laptop.teal("deploy")
    assert laptop.built.read_text() == "built for x86_64\n"


BAD_GREETINGS: list[tuple[str, object]] = [
    *(("machine", word) for word in HOSTILE_WORDS),
    *(("system", word) for word in HOSTILE_WORDS),
    *(("libc", word) for word in HOSTILE_WORDS if word not in ("", "x86 64")),
    *(("python", word) for word in HOSTILE_WORDS),
    *(("pid", number) for number in (0, -1, 2**40, 1.5, True, "1", None)),
    *(("machine", strange) for strange in (None, 7, ["x86_64"])),
]


@pytest.mark.parametrize(("key", "value"), BAD_GREETINGS, ids=repr)
@pytest.mark.row("S5")
def test_greeting_with_a_strange_value_is_refused(key: str, value: object, laptop: Laptop) -> None:
    with pytest.raises(CannotReach, match="is not to be trusted") as refused:
        laptop.session({**HONEST, key: value})
    assert refused.value.exit_code == 4
    assert refused.value.evidence[0].startswith(f"{key}: ")


MACHINES = (
    *("x86_64", "aarch64", "armv6l", "armv7l", "armv8l", "riscv64", "ppc64le", "s390x", "i386", "i586", "i686"),
    *("loongarch64", "mips64", "sparc64", "parisc64"),
)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("libc", ["glibc 2.31", "glibc 2.41", ""])
def test_greeting_of_an_honest_machine_is_taken(machine: str, libc: str, laptop: Laptop) -> None:
    with laptop.session({**HONEST, "machine": machine, "libc": libc, "python": "3.9.2"}) as session:
        assert (session.greeting.machine, session.greeting.libc) == (machine, libc)


ENV = {"type": "envreport", "app": "shop", "pending": False}
MESSAGES: dict[str, dict[str, Any]] = {
    "a release": {"type": "result", "outcome": "live", "release": "0001-\x1b[2J"},
    "a url": {"type": "result", "outcome": "live", "url": "http://a.example/\n::error::x"},
    "a color": {"type": "logline", "color": "teal", "release": "", "text": ""},
    "an outcome": {"type": "result", "outcome": "fine"},
    "a step": {"type": "step", "name": "::error::x", "state": "done"},
    "endless seconds": {"type": "step", "name": "upload", "state": "done", "seconds": 1e300},
    "a time": {**ENV, "names": [{"name": "A", "since": "soon", "live": True}]},
    "a day": {**ENV, "names": [{"name": "A", "since": "2026-02-31T00:00:00+00:00", "live": True}]},
    "half a status": {"type": "statusreport", "app": "shop", "live": None, "colors": {}, "previous": None, "url": None},
    "an address": {"type": "doctorreport", "app": "shop", "findings": [], "addresses": ["1.2.3.4.5"]},
    "a long text": {"type": "note", "level": "info", "text": "x" * (MOST_TEXT + 1)},
    "a code": {"type": "exited", "code": 256},
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=list(MESSAGES))
@pytest.mark.row("S27")
def test_message_with_a_strange_value_is_refused(message: dict[str, Any], laptop: Laptop) -> None:
    with laptop.session(HONEST, message) as session, pytest.raises(CannotReach, match="is not to be trusted"):
        session.receive()


@pytest.mark.row("S11")
def test_refusal_is_short_when_the_server_makes_many_mistakes(laptop: Laptop) -> None:
    message = {"type": "done", **{f"{number}{'x' * 1000}": "" for number in range(50)}}
    with laptop.session(HONEST, message) as session, pytest.raises(CannotReach) as refused:
        session.receive()
    assert sum(map(len, refused.value.evidence)) < 2_000


WORDS_BEFORE = ["SUDO '; rm -rf /; '", "SUDO $(id)", "NO-SUDO \x1b[2J", "TOO-OLD 3.7; reboot", "INCOMPLETE `id`"]


@pytest.mark.parametrize("word", WORDS_BEFORE)
@pytest.mark.row("S27")
def test_word_before_the_greeting_is_noise_when_a_shell_could_take_it(word: str, laptop: Laptop) -> None:
    """At 55bfd35 the hint told the user to type a line as root, with the words of the server in the line."""
    with pytest.raises(CannotReach) as refused:
        laptop.session(before=f"TEAL-HOST-{word}")
    assert word.split(" ", 1)[1] not in refused.value.message + refused.value.hint


NOT_OF_THIS_ARTIFACT: dict[str, dict[str, Any]] = {
    "a place beyond the last": {"missing": [5]},
    "a directory": {"missing": [0]},
    "a file twice": {"missing": [1, 1]},
    "more bytes than it has": {"missing": [1], "begun": [{"number": 1, "bytes": 11}]},
    "a beginning of what is not missing": {"missing": [1], "begun": [{"number": 2, "bytes": 1}]},
    "a negative place": {"missing": [-1]},
    "a path that leads out": {"missing": [1], "bases": [{"path": "../x", "sha256": "0" * 64, "size": 1}]},
    "a digest that is a path": {"missing": [1], "bases": [{"path": "app", "sha256": "../../id_rsa", "size": 1}]},
}


@pytest.mark.parametrize("wanted", NOT_OF_THIS_ARTIFACT.values(), ids=list(NOT_OF_THIS_ARTIFACT))
@pytest.mark.row("S28")
def test_deploy_sends_nothing_that_the_artifact_does_not_have(wanted: dict[str, Any], laptop: Laptop) -> None:
    """At 55bfd35 `missing: [5]` raised IndexError, and a directory raised IsADirectoryError."""
    laptop.project()
    laptop.serve(HONEST, {"type": "missingfiles", "release": "0001-0123456789ab", **wanted})
    ended = laptop.teal("deploy")
    assert ended.returncode == 4, ended.stderr
    assert "is not to be trusted" in ended.stderr


@pytest.mark.row("S28")
def test_deploy_ends_when_the_server_asks_without_end(laptop: Laptop) -> None:
    laptop.project()
    laptop.serve(HONEST, *[{"type": "missingfiles", "release": "0001-0123456789ab"}] * 100)
    ended = laptop.teal("deploy")
    assert ended.returncode == 4
    assert "missing: is asked for the 4th time" in ended.stderr


MISSING = {"type": "missingfiles", "release": "0001-0123456789ab"}
PLAN = {"type": "plan", "changes": [{"message": "write a file"}]}
AFTER_COMMIT: dict[str, tuple[str, tuple[dict[str, Any], ...]]] = {
    "deploy, another answer": ("deploy --json", (MISSING, {"type": "done"})),
    "deploy, a strange value": ("deploy --json", (MISSING, MESSAGES["a release"])),
    "deploy, a strange step": ("deploy --json", (MISSING, MESSAGES["a step"])),
    "rollback, another answer": ("rollback --json", ({"type": "done"},)),
    "rollback, a strange value": ("rollback --json", (MESSAGES["an outcome"],)),
    "destroy, another answer": ("destroy --yes", (MESSAGES["a color"],)),
    "destroy, a strange value": ("destroy --yes", (MESSAGES["a code"],)),
    "exec, another answer": ("exec true", ({"type": "done"},)),
    "exec, a strange value": ("exec true", (MESSAGES["a code"],)),
    "env set, another answer": ("env unset NAME", ({"type": "exited", "code": 0},)),
    "setup, another answer": ("setup", (PLAN, {"type": "exited", "code": 0})),
    "setup, a strange value": ("setup", (PLAN, MESSAGES["a code"])),
}


@pytest.mark.parametrize(("command", "messages"), AFTER_COMMIT.values(), ids=list(AFTER_COMMIT))
@pytest.mark.row("S27")
def test_strange_answer_after_commit_leaves_the_outcome_unknown(
    command: str, messages: tuple[dict[str, Any], ...], laptop: Laptop
) -> None:
    laptop.project()
    laptop.serve(HONEST, *messages)
    ended = laptop.teal(*command.split())
    assert ended.returncode == 9, ended.stderr
    assert "not known here" in ended.stderr
    if "--json" in command:
        assert json.loads(ended.stdout.splitlines()[-1])["outcome"] == "unknown"


@pytest.mark.parametrize(("command", "wrong"), [("deploy", MESSAGES["a step"]), ("setup", {"type": "done"})])
@pytest.mark.row("S27")
def test_strange_answer_before_commit_means_that_nothing_was_changed(
    command: str, wrong: dict[str, Any], laptop: Laptop
) -> None:
    laptop.project()
    laptop.serve(HONEST, wrong)
    assert laptop.teal(command).returncode == 4


@pytest.mark.parametrize("command", ["status", "releases", "env list", "doctor", "logs", "destroy --yes", "exec true"])
@pytest.mark.row("S27")
def test_command_ends_in_one_error_when_the_answer_is_of_another_question(command: str, laptop: Laptop) -> None:
    """At 55bfd35 the client raised AssertionError, or took the message for an answer."""
    laptop.project()
    laptop.serve(HONEST, {"type": "result", "outcome": "live"})
    ended = laptop.teal(*command.split())
    assert ended.returncode == (9 if command in ("destroy --yes", "exec true") else 4), ended.stderr
    assert "the server side answered with Result, which is not expected" in ended.stderr


LINE = {"type": "logline", "color": "blue", "release": "0001-0123456789ab", "text": "starts"}
FAILED = {
    "type": "failure",
    "code": "unexpected",
    "message": "journalctl exited with code 1",
    "evidence": [],
    "hint": "",
}


@pytest.mark.parametrize("rest", [(FAILED,), ()], ids=["the server reports a failure", "contact is lost"])
@pytest.mark.parametrize("follow", [(), ("--follow",)], ids=["once", "followed"])
def test_logs_as_json_are_whole_objects_when_they_fail_on_the_way(
    rest: tuple[dict[str, Any], ...], follow: tuple[str, ...], laptop: Laptop
) -> None:
    laptop.project()
    laptop.serve(HONEST, LINE, LINE, *rest)
    ended = laptop.teal("logs", "--json", *follow)
    assert ended.returncode == (1 if rest else 4)
    assert ended.stderr.count("teal: ") == 1
    objects = [json.loads(line) for line in ended.stdout.splitlines()]
    if follow:
        assert [judged("logs-line", line)["text"] for line in objects] == ["starts", "starts"]
    else:
        (whole,) = objects
        assert len(judged("logs", whole)["lines"]) == 2
        assert whole["error"]["message"] in ended.stderr


EVIL = (
    "::add-mask::x\n::error::y\r\x1b]0;title\x07\x1b[2J\x9b31m\u202egpj.exe\u2028 ##[add-path]/evil ::stop-commands::z"
)
LINE_OF_EVIL = "::add-mask::x ##[add-path]/evil"  # whoever deployed has one printable line
AT = "2026-01-31T12:00:00+00:00"
NAMED = "0001-0123456789ab"
FOUND = {"what": "disk", "state": "fault", "message": EVIL, "hint": EVIL, "evidence": [EVIL, EVIL]}
ROWS = {
    "blue": {"release": NAMED, "port": 1, "state": "running", "since": AT},
    "green": {"release": None, "port": 2, "state": "empty"},
}
ROW = {
    "release": NAMED,
    "seq": 1,
    "digest": "0" * 64,
    "bytes": 1,
    "at": AT,
    "outcome": "live",
    "env": "",
    "origin": {**dict.fromkeys(("who", "machine", "commit", "teal"), LINE_OF_EVIL), "dirty": True},
}
LAST = {"command": "deploy", "release": NAMED, "outcome": "refused", "at": AT, "message": EVIL}
CHANGED = {"message": EVIL, "diff": [EVIL], "edited": True, "text": [EVIL]}
STATUS = {"type": "statusreport", "app": "shop", "live": "blue", "colors": ROWS, "previous": None, "url": None}
REFUSED = {"type": "failure", "code": "unhealthy", "message": EVIL, "evidence": [EVIL], "hint": EVIL}
STEPPED = {"type": "step", "name": "health", "state": "done", "detail": EVIL}
NOTED = {"type": "note", "level": "warning", "text": EVIL}
SHOWN: dict[str, tuple[str, tuple[dict[str, Any], ...]]] = {
    "status": ("status", ({**STATUS, "notes": [EVIL], "last": LAST},)),
    "doctor": ("doctor", ({"type": "doctorreport", "app": "shop", "findings": [FOUND]},)),
    "releases": (
        "releases",
        (
            {
                "type": "releasesreport",
                "app": "shop",
                "releases": [ROW],
                "unreadable": [{"release": NAMED, "file": EVIL, "why": EVIL}],
            },
        ),
    ),
    "logs": ("logs", ({"type": "logline", "color": "blue", "release": NAMED, "text": EVIL}, {"type": "done"})),
    "logs that end early": ("logs", ({"type": "done", "message": EVIL},)),
    "setup": ("setup --dry-run -v", ({"type": "plan", "changes": [CHANGED]},)),
    "setup that asks": ("setup", ({"type": "plan", "changes": [CHANGED]},)),
    "deploy": ("deploy -v", (STEPPED, NOTED, {**STEPPED, "state": "failed"}, REFUSED)),
    "deploy, quiet": ("deploy -q", (NOTED, REFUSED)),
    "deploy, dry": ("deploy --dry-run", ({"type": "result", "outcome": "unchanged", "plan": [EVIL]},)),
    "rollback": ("rollback", (STEPPED, NOTED, REFUSED)),
    "env": ("env unset NAME", ({"type": "done", "message": EVIL},)),
    "exec": ("exec true", ({"type": "exited", "code": 126, "message": EVIL},)),
    "destroy": ("destroy --yes", (NOTED, {"type": "done", "message": EVIL})),
}


def check_shown(output: str) -> None:
    """Nothing in it is obeyed by a terminal or by GitHub's runner."""
    assert "##[" not in output
    assert not re.search(r"^\s*::[a-z]", output, re.MULTILINE)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", output)


@pytest.mark.parametrize("form", ["", "--json"], ids=["text", "json"])
@pytest.mark.parametrize(("command", "messages"), SHOWN.values(), ids=list(SHOWN))
@pytest.mark.row("S9")
def test_words_of_a_server_are_shown_and_not_obeyed(
    command: str, messages: tuple[dict[str, Any], ...], form: str, laptop: Laptop
) -> None:
    """At 768eec4 a line of evidence or of a plan that began with `::` was a command to GitHub's runner."""
    if form and command.split(maxsplit=1)[0] in ("env", "exec", "destroy"):
        pytest.skip("has no --json")
    laptop.project()
    laptop.serve(HONEST, *messages)
    ended = laptop.teal(*command.split(), *form.split())
    check_shown(ended.stdout + ended.stderr)
    assert "add-mask" in ended.stdout + ended.stderr


@pytest.mark.parametrize("code", [0, 1, 255])
@pytest.mark.row("S9")
def test_lines_of_ssh_are_shown_and_not_obeyed(code: int, laptop: Laptop) -> None:
    """At 768eec4 what ssh passed on of a server, its banner and its standard error, reached the terminal raw."""
    laptop.project()
    ssh = laptop.folder / "bin/ssh"
    ssh.parent.mkdir()
    halves = "sys.stderr.buffer.write(b'::'); sys.stderr.flush(); time.sleep(0.4); sys.stderr.write('error::late\\n')"
    ssh.write_text(
        f"#!{sys.executable} -IS\nimport sys, time\nsys.stderr.write({EVIL!r})\n{halves}\nsys.exit({code})\n"
    )
    ssh.chmod(0o755)
    ended = laptop.teal("status")
    check_shown(ended.stdout + ended.stderr)
    assert "add-mask" in ended.stderr
    assert "late" in ended.stderr


@pytest.mark.row("S11")
def test_ssh_that_never_ends_a_line_fills_no_memory(laptop: Laptop) -> None:
    """At 768eec4 the client kept a line of any length."""
    code = "import sys\nfor _ in range(2000): sys.stderr.write('x' * 10_000)\nsys.exit(255)"
    transport = Transport("the shop", (sys.executable, "-I", "-S", "-c", code), (), own_session=True, way=("env",))
    with pytest.raises(CannotReach) as refused:
        Session(transport)
    assert max(map(len, refused.value.evidence), default=0) < 50_000


@pytest.mark.row("S27")
def test_server_is_gone_when_a_message_stops_half_way(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 768eec4 the client waited for ever for the rest of a message, also of the greeting."""
    monkeypatch.setattr(sessions, "WHOLE_WITHIN_S", 0.3)
    half = {"type": "note", "level": "info", "text": "x" * 1000}
    with laptop.session(HONEST, half) as session:
        session.receive()
    greeting = base64.b64encode(b"\nTEAL-HOST-1\n" + framed(HONEST)[:-1]).decode()
    command = (sys.executable, "-I", "-S", "-c", SAYS.format(said=greeting))
    with pytest.raises(CannotReach):
        Session(Transport("the shop", command, (), own_session=True, way=("env",)))
    cut = base64.b64encode(b"\nTEAL-HOST-1\n" + framed(HONEST) + framed(half)[:-1]).decode()
    command = (sys.executable, "-I", "-S", "-c", SAYS.format(said=cut))
    transport = Transport("the shop", command, (), own_session=True, way=("env",))
    with Session(transport) as session, pytest.raises(PipeEnded):
        session.receive()


@pytest.mark.row("S11")
def test_server_is_not_trusted_when_its_messages_have_no_end(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 768eec4 the client remembered the steps of a server for as long as the server told any."""
    monkeypatch.setattr(sessions, "MOST_EVENTS", 50)
    steps = [{"type": "step", "name": f"s{number}", "state": "done"} for number in range(51)]
    with laptop.session(HONEST, *steps) as session, pytest.raises(CannotReach, match="is not to be trusted"):
        list(session.events())


@pytest.mark.parametrize(
    "message",
    [
        {"type": "done", "x": [[]] * (MAX_COMMAS + 1)},
        {"type": "done", "x" * 4_000_000: 1},
        {"type": "done", **{f"{number}": 1 for number in range(100_000)}},
        {"type": "missingfiles", "release": NAMED, "missing": ["x"] * 100_000},
    ],
    ids=["values", "a long key", "keys", "wrong numbers"],
)
@pytest.mark.row("S11")
def test_client_needs_little_for_a_large_message(message: dict[str, Any]) -> None:
    """At 768eec4 one frame took gigabytes and a minute: each value was decoded, and each mistake kept."""
    code = f"""
import io, json, resource, sys
from teal_host.wire import frames, messages
from teal_host.wire.typed import Mistakes
data = sys.stdin.buffer.read()
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
try:
    messages.from_frame(frames.read_frame(io.BytesIO(data)), messages.EVENTS + messages.ANSWERS)
except frames.FrameError as error:
    print(error)
except Mistakes as error:
    assert len(error.mistakes) <= {MOST_MISTAKES} and len(str(error)) < 100_000
"""
    done = subprocess.run([sys.executable, "-c", code], input=framed(message), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
