"""What somebody who has stolen a deploy key can do with it: deploy that app, and nothing else at all.

Every attempt through ssh is also in sshd's own log with the fingerprint; what reached the server side has its line in
the app's audit.
"""

import dataclasses
import json
import os
import socket
import subprocess
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.keyed import ORIGIN, Keyed, answers, at_once, deploy, frame, keyed, raw
from harness.machine import make_key
from harness.world import free_ports, wait_until
from teal_host.wire.app import AppSpec, Ports, ProxyRules, Sandbox, Site
from teal_host.wire.frames import MAX_BODY, MAX_HEADER
from teal_host.wire.grammar import public_key
from teal_host.wire.messages import (
    Commit,
    Deploy,
    Destroy,
    Doctor,
    EnvList,
    EnvSet,
    EnvUnset,
    Exec,
    Intended,
    Logs,
    Releases,
    Rollback,
    Setup,
    Status,
)
from teal_host.wire.uploads import Block, Part

TEAL_HOST = "/usr/local/lib/teal/teal-host"
SHELL = b"id; touch /tmp/pwned; cat /etc/shadow\n"  # typed into whatever reads it


@pytest.fixture(scope="module")
def there(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with harness.server(debian, tmp_path_factory.mktemp("keyed"), packages=["nginx", "sudo"]) as server:
        yield keyed(server)


def new_id() -> str:
    return uuid.uuid4().hex


# --- what the key is for ------------------------------------------------------------------------------------------


def test_deploy_key_deploys_rolls_back_and_queries_from_ci_and_all_is_audited(there: Keyed) -> None:
    ci, app = there.ci(), there.one
    was = app.status()["live"]

    def teal(*arguments: str) -> dict[str, Any]:
        return ci.teal(*arguments, cwd=app.directory, TEAL_TARGET=ci.target, CI="true").ok().result

    first = teal("status", "--json")["colors"][was]["release"]
    app.program(version="from CI")
    deployed = teal("deploy", "--json")
    assert (deployed["outcome"], deployed["previous"]) == ("live", first)
    assert app.get("/", "one.test")["version"] == "from CI"
    assert teal("deploy", "--json")["outcome"] == "unchanged"
    assert teal("releases", "--json")["releases"][0]["release"] == deployed["release"]
    assert "from CI" in json.dumps(teal("logs", "--json"))
    assert teal("rollback", "--json")["release"] == first
    told = [(line["did"], line["ended"]) for line in there.audit()]
    assert told == [
        ("status", "answered"),
        ("deploy", "not yet"),
        ("deploy", "live"),
        ("deploy", "not yet"),
        ("deploy", "unchanged"),
        ("releases", "answered"),
        ("logs", "answered"),
        ("rollback", "not yet"),
        ("rollback", "live"),
    ]
    assert {line["key"] for line in there.audit()} == {there.fingerprint()}
    assert there.audit()[2]["release"] == deployed["release"]
    assert oct((there.server.root / "var/lib/teal/one/audit").stat().st_mode)[-3:] == "600"


# --- other things that ssh can be asked for -----------------------------------------------------------------------

COMMANDS: dict[str, list[str]] = {
    "a shell": [],
    "a shell on a terminal": ["-tt"],
    "a command": ["--", "id"],
    "a command on a terminal": ["-tt", "--", "id"],
    "a shell by name": ["--", "/bin/bash", "-i"],
    "Python": ["--", "python3", "-c", "'import os; os.system(\"id\")'"],
    "sftp": ["-s", "--", "sftp"],
    "another subsystem": ["-s", "--", "netconf"],
    "the sftp server as a command": ["--", "/usr/lib/openssh/sftp-server"],
    "scp to here": ["--", "scp", "-t", "/tmp/pwned"],
    "scp from here": ["--", "scp", "-f", "/etc/shadow"],
    "rsync": ["--", "rsync", "--server", "--sender", "-e.LsfxCIvu", ".", "/etc/shadow"],
    "git": ["--", "git-upload-pack", "/tmp/x"],
    "its own program, of another app": ["--", f"sudo -n {TEAL_HOST} --server --app two --key 00"],
    "its own program, somewhere else": ["--", f"{TEAL_HOST} --root /tmp/pwned"],
    "more arguments": ["--", "--root", "/tmp/pwned", "--nginx", "/tmp/x"],
    "the start of a program": ["--", "launch", "/tmp/live", "blue"],
    "sudo": ["--", "sudo", "-n", "-i"],
    "a semicolon": ["--", "; id; touch /tmp/pwned"],
    "a substitution": ["--", "$(touch /tmp/pwned) `touch /tmp/pwned`"],
    "a pipe": ["--", "| touch /tmp/pwned & touch /tmp/pwned && id"],
    "a line break": ["--", "x\nid\ntouch /tmp/pwned\n"],
    "quotes": ["--", "'\"; touch /tmp/pwned; '\""],
    "a redirection": ["--", "> /tmp/pwned < /etc/shadow"],
    "LD_PRELOAD": ["-o", "SetEnv=LD_PRELOAD=/tmp/x.so", "--", "id"],
    "PYTHONPATH": ["-o", "SetEnv=PYTHONPATH=/tmp PYTHONSTARTUP=/tmp/x.py PYTHONINSPECT=1", "--", "id"],
    "BASH_ENV": ["-o", "SetEnv=BASH_ENV=/tmp/x ENV=/tmp/x", "--", "id"],
    "SSH_ORIGINAL_COMMAND": ["-o", "SetEnv=SSH_ORIGINAL_COMMAND=id", "--", "true"],
    "a function for bash": ["-o", "SetEnv=LC_ALL='() { :;}; touch /tmp/pwned' LANG='$(touch /tmp/pwned)'"],
    "the agent": ["-A", "--", "ssh-add", "-l"],
    "X11": ["-X", "-o", "ForwardX11=yes", "--", "xterm"],
    "trusted X11": ["-Y", "--", "xterm"],
    "two at once, and compressed": ["-C", "-o", "PermitLocalCommand=no", "--", "id & id"],
}


SSH_ITSELF_ENDS = {
    "a shell on a terminal": b"PTY allocation request failed",
    "a command on a terminal": b"PTY allocation request failed",
    "another subsystem": b"subsystem request failed",
}
Asked = dict[str, "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="module")
def asked(there: Keyed) -> Asked:
    """Every one of them tried, with a line in the audit for each."""
    before = len(there.audit())
    tries = {name: partial(there.ssh, *COMMANDS[name], stdin=SHELL, DISPLAY="127.0.0.1:0") for name in COMMANDS}
    with there.unchanged():
        done = at_once(tries)
    wait_until(lambda: len(there.audit()) - before >= len(COMMANDS) - len(SSH_ITSELF_ENDS))
    told = {(line["key"], line["did"]) for line in there.audit()[before:]}
    assert told == {(there.fingerprint(), "nothing that could be understood")}
    return done


@pytest.mark.parametrize("name", list(COMMANDS))
def test_deploy_key_is_refused_every_other_ssh_request_in_plain_words(asked: Asked, name: str) -> None:
    done = asked[name]
    assert b"uid=" not in done.stdout + done.stderr
    assert b"root:" not in done.stdout + done.stderr
    if name in SSH_ITSELF_ENDS:
        assert (done.returncode, done.stdout) == (255, b"")
        assert SSH_ITSELF_ENDS[name] in done.stderr
        return
    assert (done.returncode, done.stdout) == (1, b"")
    in_words = (
        [] if name == "sftp" else ["this key only deploys one, with teal"]
    )  # of a subsystem sshd passes no errors on
    assert done.stderr.decode().splitlines()[-1:] == in_words


def test_deploy_key_brings_no_variable_agent_or_terminal_into_an_environment(there: Keyed) -> None:
    """Neither a terminal, nor the agent, nor X11, nor a variable, in any process on the server."""
    tricks = [f"{name}=thief" for name in ("LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "ENV", "PATH", "SUDO_ASKPASS")]
    options = ["-A", "-X", "-o", f"SetEnv={' '.join(tricks)}"]
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    told = dict(part.split("=", 1) for part in agent.replace("\n", ";").split(";") if "=" in part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSH_AUTH_SOCK", told["SSH_AUTH_SOCK"])
        patch.setenv("DISPLAY", "127.0.0.1:0")
        try:
            with there.open(*options) as ssh:
                seen = there.server.run("sh", "-c", "cat /proc/[0-9]*/environ | tr '\\0' '\\n'").stdout
                sockets = there.server.run("sh", "-c", "ls /tmp/ssh-* /root/.ssh/agent /var/lib/teal/.ssh/agent").stdout
                assert ssh.poll() is None
        finally:
            os.kill(int(told["SSH_AGENT_PID"]), 15)
    names = {line.split("=")[0] for line in seen.splitlines()}
    assert "SSH_CONNECTION" in names  # it was looked at
    assert names & {"SSH_AUTH_SOCK", "SSH_TTY", "DISPLAY", "LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "ENV"} == set()
    assert "thief" not in seen
    assert "agent" not in sockets


@pytest.mark.parametrize("how", [["scp", "-O"], ["scp", "-s"], ["sftp"]], ids=" ".join)
def test_deploy_key_copies_no_file_in_either_direction(there: Keyed, tmp_path: Path, how: list[str]) -> None:
    (tmp_path / "x").write_text("x")
    host = f"teal@{there.server.name}"
    config = ["-F", str(there.config())]
    copies = [[f"{host}:/etc/passwd", str(tmp_path / "got")]]
    copies += [[str(tmp_path / "x"), f"{host}:/tmp/pwned"]] if how[0] == "scp" else []
    with there.unchanged():
        for copy in copies:
            done = subprocess.run(
                [*how, *config, *copy], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
            )
            assert done.returncode != 0
    assert not (tmp_path / "got").exists()


def test_deploy_key_runs_no_ssh_rc_file(there: Keyed) -> None:
    """Even if somebody could write one."""
    rc = there.server.root / "var/lib/teal/.ssh/rc"
    rc.write_text("touch /tmp/pwned\n")
    try:
        there.ssh(stdin=SHELL)
    finally:
        rc.unlink()
    assert "pwned" not in there.in_tmp()


# --- forwarding ---------------------------------------------------------------------------------------------------


def test_deploy_key_reaches_nothing_through_local_forwards(there: Keyed, tmp_path: Path) -> None:
    """-L to a port, to another app, to systemd's own bus; -D; all from one connection, which is let in."""
    port, other, socks = free_ports(3)
    bus = tmp_path / "bus"
    forwards = ["-L", f"{port}:127.0.0.1:80", "-L", f"{other}:127.0.0.1:8083", "-D", f"127.0.0.1:{socks}"]
    forwards += ["-L", f"{bus}:/run/dbus/system_bus_socket"]
    with there.open(*forwards, "-o", "ExitOnForwardFailure=yes"):
        ask = b"GET /healthz HTTP/1.0\r\n\r\n"
        assert reached(port, ask) == reached(other, ask) == b""
        through_socks = b"\5\1\0", b"\5\1\0\1\x7f\0\0\1\0\x50" + ask
        assert b"HTTP" not in reached(socks, *through_socks)
        assert reached(bus, b"\0AUTH EXTERNAL 30\r\n") == b""


def reached(where: "int | Path", *said: bytes) -> bytes:
    """What comes back until the end."""
    heard = b""
    with socket.socket(socket.AF_UNIX if isinstance(where, Path) else socket.AF_INET) as line:
        line.settimeout(10)
        line.connect(str(where) if isinstance(where, Path) else ("127.0.0.1", where))
        try:
            for words in said:
                line.sendall(words)
            while piece := line.recv(4096):
                heard += piece
        except ConnectionError:
            pass
    return heard


REFUSED_FORWARDS = {
    "-R": ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "9099:127.0.0.1:22"],
    "-R as a proxy": ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "9098"],
    "-R of a socket": ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "/tmp/pwned:127.0.0.1:22"],
    "-W": ["-W", "127.0.0.1:80"],
    "-W to another app": ["-W", "127.0.0.1:8083"],
    "-w": ["-N", "-o", "ExitOnForwardFailure=yes", "-w", "0:0"],
}


@pytest.mark.parametrize("name", list(REFUSED_FORWARDS))
def test_deploy_key_is_refused_other_forwards(there: Keyed, name: str) -> None:
    with there.unchanged():
        done = there.ssh(*REFUSED_FORWARDS[name], stdin=b"GET / HTTP/1.0\r\n\r\n")
    assert (done.returncode, done.stdout) == (255, b"")
    assert there.server.run("ip", "-o", "link", "show", "type", "tun").stdout == ""


def test_deploy_key_is_refused_as_a_jump_host(there: Keyed) -> None:
    jump = f"ssh -F {there.config()} -l teal -W %h:%p {there.server.name}"
    argv = ["ssh", "-F", str(there.server.ssh_config), "-o", f"ProxyCommand={jump}", there.server.name, "id"]
    done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (255, b"")


def test_deploy_key_connection_without_a_request_does_nothing_and_is_in_the_log(there: Keyed) -> None:
    before = len(there.audit())
    with subprocess.Popen(there.ssh_argv("-N"), stdin=subprocess.DEVNULL) as ssh:
        mark = there.server.run("journalctl", "--show-cursor", "-n", "0").stdout.split(":", 1)[1].strip()
        with subprocess.Popen(there.ssh_argv("-N"), stdin=subprocess.DEVNULL) as second:
            wait_until(lambda: there.fingerprint() in logged(there, mark))
            second.kill()
        ssh.kill()
    assert len(there.audit()) == before


def logged(there: Keyed, cursor: str) -> str:
    """Of sshd, since then."""
    return there.server.run("journalctl", "--after-cursor", cursor, "-t", "sshd", "-t", "sshd-session").stdout


# --- what can be said to the server side --------------------------------------------------------------------------

Build = Callable[[Keyed], bytes]


def wanting(**changes: Any) -> Build:
    """A deploy whose configuration differs so."""

    def build(there: Keyed) -> bytes:
        return frame(deploy(replace(there.spec(), **changes), b"x", new_id()))

    return build


def header_of_deploy(**changes: Any) -> Build:
    def build(there: Keyed) -> bytes:
        header = {"type": "deploy", **plain(deploy(there.spec(), b"x", new_id())), **changes}
        return raw(json.dumps(header).encode())

    return build


def plain(value: Any) -> dict[str, Any]:
    told = json.loads(json.dumps(dataclasses.asdict(value)))
    assert isinstance(told, dict)
    return told


def of_another(there: Keyed) -> AppSpec:
    return there.spec("two")


REFUSED: dict[str, tuple[Build, str, str]] = {
    # another app
    "deploy of another": (lambda k: frame(deploy(of_another(k), b"x", new_id())), "not_allowed", "not two"),
    "rollback of another": (lambda k: frame(Rollback("two", ORIGIN, new_id())), "not_allowed", "not two"),
    "status of another": (lambda k: frame(Status("two")), "not_allowed", "not two"),
    "releases of another": (lambda k: frame(Releases("two")), "not_allowed", "not two"),
    "logs of another": (lambda k: frame(Logs("two", follow=True)), "not_allowed", "not two"),
    "an app that is not there": (lambda k: frame(Status("three")), "not_allowed", "not three"),
    "an app that is a path": (lambda k: frame({"type": "status", "app": "one/../two"}), "config", "mistakes"),
    "an app with a line break": (lambda k: frame({"type": "status", "app": "one\n"}), "config", "mistakes"),
    # what only the admin does
    "setup": (lambda k: frame(Setup(k.spec(), ORIGIN)), "not_allowed", "setup"),
    "setup, only looked at": (lambda k: frame(Setup(k.spec(), ORIGIN, dry_run=True)), "not_allowed", "setup"),
    "setup with a key": (
        lambda k: frame(Setup(k.spec(), ORIGIN, k.key("two").with_suffix(".key.pub").read_text().strip())),
        "not_allowed",
        "setup",
    ),
    "taking away a key": (lambda k: frame(Setup(k.spec(), ORIGIN, no_key=k.fingerprint())), "not_allowed", "setup"),
    "destroy": (lambda k: frame(Destroy("one", ORIGIN)), "not_allowed", "destroy"),
    "doctor": (lambda k: frame(Doctor(k.spec(), 0.0)), "not_allowed", "doctor"),
    "env set": (lambda k: frame(EnvSet("one", "NAME", ORIGIN)), "not_allowed", "env set"),
    "env unset": (lambda k: frame(EnvUnset("one", "NAME", ORIGIN)), "not_allowed", "env unset"),
    "env list": (lambda k: frame(EnvList("one")), "not_allowed", "env list"),
    "exec": (lambda k: frame(Exec("one", ("id",), ORIGIN)), "not_allowed", "exec"),
    "exec in another": (lambda k: frame(Exec("two", ("id",), ORIGIN)), "not_allowed", "exec"),
    # a deploy that wants more than was agreed
    "another name": (wanting(site=Site(("evil.test",))), "config", "[server]"),
    "the name of another": (wanting(site=Site(("two.test",))), "config", "[server]"),
    "the default site": (wanting(site=Site()), "config", "[server]"),
    "another port of nginx": (wanting(site=Site(("one.test",), 8000)), "config", "[server]"),
    "a directive": (wanting(proxy=ProxyRules(directives=("root /etc;",))), "config", "[proxy]"),
    "a larger body": (wanting(proxy=ProxyRules(max_body_mb=1_000_000)), "config", "[proxy]"),
    "a capability": (wanting(sandbox=Sandbox(capabilities=("CAP_NET_ADMIN",))), "config", "[sandbox]"),
    "a place to write": (wanting(sandbox=Sandbox(writable=("/etc",))), "config", "[sandbox]"),
    "more memory": (wanting(sandbox=Sandbox(memory_mb=1_000_000)), "config", "[sandbox]"),
    "a capability as good as root": (
        header_of_deploy(spec={"sandbox": {"capabilities": ["CAP_SYS_ADMIN"]}}),
        "config",
        "mistakes",
    ),
    # the same, while it would still be built
    "another name, ahead": (
        lambda k: frame(Intended(replace(k.spec(), site=Site(("evil.test",))))),
        "config",
        "[server]",
    ),
    "another app, ahead": (lambda k: frame(Intended(k.spec("two"))), "not_allowed", "may deploy one, not two"),
    "its own app ahead, then another": (
        lambda k: frame(Intended(k.spec())) + frame(deploy(k.spec("two"), b"x", new_id())),
        "not_allowed",
        "may deploy one, not two",
    ),
    "its own app ahead, then something else": (
        lambda k: frame(Intended(k.spec())) + frame(Status("one")),
        "config",
        "not expected",
    ),
    # what is no message, or not one of these
    "an unknown message": (lambda k: frame({"type": "shell"}), "config", "not expected"),
    "an event as a request": (lambda k: frame({"type": "done"}), "config", "not expected"),
    "commit at once": (lambda k: frame(Commit()), "config", "not expected"),
    "bytes at once": (lambda k: frame(Block(True), b"x"), "config", "not expected"),
    "no type": (lambda k: frame({"app": "one"}), "config", "not expected"),
    "a type that is a list": (lambda k: frame({"type": ["status"]}), "config", "not expected"),
    "an unknown key": (lambda k: frame({"type": "status", "app": "one", "root": "/"}), "config", "mistakes"),
    "another user": (header_of_deploy(user="root"), "config", "mistakes"),
    "a number for a name": (lambda k: frame({"type": "status", "app": 1}), "config", "mistakes"),
    "a table for a name": (lambda k: frame({"type": "status", "app": {}}), "config", "mistakes"),
    "an id that is a path": (header_of_deploy(id="../../etc/x"), "config", "mistakes"),
    "a release that is a path": (
        lambda k: frame({"type": "rollback", "app": "one", "origin": {}, "id": "0" * 32, "release": "../x"}),
        "config",
        "mistakes",
    ),
    "an origin with a line break": (header_of_deploy(origin={"who": 'x\n{"key": "another"}'}), "config", "mistakes"),
    "a header too long": (lambda k: raw(b"", lengths=(MAX_HEADER + 1, 0)), "config", "larger than allowed"),
    "two gigabytes": (lambda k: raw(b"", lengths=(2**31, 2**31)), "config", "larger than allowed"),
    "a body too long": (lambda k: raw(b"{}", lengths=(2, MAX_BODY + 1)), "config", "larger than allowed"),
    "a header that is cut": (lambda k: raw(b'{"type":', lengths=(100, 0)), "config", "before the end"),
    "deep": (lambda k: raw(b'{"a":' * 5000 + b"1" + b"}" * 5000), "config", "deeper"),
    "deep brackets": (lambda k: raw(b"[" * 1_000_000), "config", "deeper"),
    "very wide": (lambda k: raw(b'{"type":"status","app":[' + b"{}," * 500_000 + b"{}]}"), "config", "mistakes"),
    "not JSON": (lambda k: raw(b"type: status"), "config", "not JSON"),
    "not UTF-8": (lambda k: raw(b'{"type":"\xff\xfe"}'), "config", "not JSON"),
    "NaN": (lambda k: raw(b'{"type":"rollback","wait_s":NaN}'), "config", "not JSON"),
    "a list": (lambda k: raw(b"[]"), "config", "not a JSON object"),
    "a huge number": (lambda k: raw(b'{"type":"logs","app":"one","lines":' + b"9" * 4000 + b"}"), "config", "mistakes"),
    "nothing at all": (lambda k: b"", "aborted", "went away"),
    "a shell's words": (lambda k: SHELL, "config", ""),
    "no release of that name": (lambda k: frame(Rollback("one", ORIGIN, new_id(), "999")), "not_there", "no release"),
}


Said = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def said(there: Keyed) -> Said:
    """The answer to each of them, all of which the audit tells with the key."""
    before = len(there.audit())
    with there.unchanged(), there.line():
        told = at_once({name: partial(there.says, REFUSED[name][0](there)) for name in REFUSED})
    audit = [line for line in there.audit()[before:] if line["ended"] != "not yet"]
    ended = sorted(f"{answer[-1]['code']}: {answer[-1]['message'][:300]}" for answer in told.values())
    assert sorted(line["ended"] for line in audit) == ended
    assert {line["key"] for line in audit} == {there.fingerprint()}
    return {name: answer[-1] for name, answer in told.items()}


@pytest.mark.parametrize("name", list(REFUSED))
def test_deploy_key_is_refused_hostile_messages(said: Said, name: str) -> None:
    _, code, words = REFUSED[name]
    told = said[name]
    assert (told["type"], told["code"]) == ("failure", code)
    assert words in told["message"] + told["hint"]


def test_deploy_key_is_refused_ports_that_were_not_agreed(there: Keyed) -> None:
    spec = there.spec()
    told = there.says(frame(deploy(replace(spec, run=replace(spec.run, ports=Ports(8083, 8084))), b"x", new_id())))
    assert (told[-1]["code"], "[run] ports" in told[-1]["message"]) == ("config", True)


def whole_deploy(there: Keyed) -> tuple[Deploy, bytes]:
    """All that a client says in a deploy, as somebody could have recorded it."""
    there.one.program(version=f"recorded {new_id()}")
    content = (there.one.directory / "program").read_bytes()
    request = deploy(there.spec(), content, new_id())
    return request, frame(request) + frame(Part(1, "zlib")) + frame(Block(True), zlib.compress(content)) + frame(
        Commit()
    )


def test_deploy_key_replay_of_a_recorded_request_does_nothing(there: Keyed) -> None:
    request, recorded = whole_deploy(there)
    first = there.says(recorded)[-1]
    assert first["outcome"] == "live"
    back = frame(Rollback("one", ORIGIN, new_id()))
    gone_back = there.says(back)[-1]
    assert gone_back["outcome"] == "live"
    with there.unchanged():
        for again, answer in ((recorded, first), (back, gone_back)):
            *_, note, told = there.says(again)  # what it was told then; and nothing is done
            assert told == answer
            assert "done before" in note["text"]
    anew = frame(replace(request, id=new_id())) + frame(Commit())  # nothing to upload: it is here
    assert there.says(anew)[-1]["outcome"] == "live"
    assert there.audit()[-1]["release"]  # to deploy an older artifact anew is what the key is for, and it is told


def test_deploy_key_changes_nothing_when_the_client_leaves_in_the_middle(there: Keyed) -> None:
    request, _ = whole_deploy(there)
    for sent in (frame(request), frame(request) + frame(Part(1, "zlib")) + frame(Block(), b"not zlib")):
        with there.unchanged():
            assert there.says(sent)[-1]["type"] == "failure"


# --- one who has a shell as `teal` after all ----------------------------------------------------------------------


def rule(there: Keyed, app: str = "one") -> list[str]:
    line = (there.server.root / f"etc/sudoers.d/teal-{app}").read_text().splitlines()[-1]
    return line.split("NOPASSWD: ")[1].split()


def test_sudo_allows_the_user_teal_exactly_the_command_of_each_app(there: Keyed) -> None:
    told = there.as_teal("sudo", "-n", "-l").stdout
    commands = [line.split("NOPASSWD: ")[1] for line in told.splitlines() if "NOPASSWD" in line]
    assert sorted(commands) == sorted(" ".join(rule(there, app)) for app in ("one", "two"))
    assert "may run the following" in told
    assert "SETENV" not in told


SUDO: dict[str, Callable[[list[str]], list[str]]] = {
    "a shell": lambda r: ["/bin/sh", "-c", "id"],
    "one more argument": lambda r: [*r, "--root", "/tmp/pwned"],
    "without the key": lambda r: r[:-2],
    "another key": lambda r: [*r[:-1], "0" * 64],
    "no arguments": lambda r: r[:1],
    "another app's name": lambda r: [*r[:3], "two", *r[4:]],
    "the start of a program": lambda r: [r[0], "launch", "/tmp/live", "blue"],
    "a shorter word": lambda r: [r[0], "--server", "--ap", *r[3:]],
    "in one word": lambda r: [" ".join(r)],
    "as another user": lambda r: ["-u", "teal-one", "--", "/bin/sh", "-c", "id"],
    "as a group": lambda r: ["-g", "shadow", "--", *r],
    "with its environment": lambda r: ["-E", "--", *r],
    "with a variable": lambda r: ["PYTHONPATH=/tmp", *r],
    "an editor": lambda r: ["-e", "/etc/shadow"],
    "in another directory": lambda r: ["-D", "/tmp", "--", *r],
    "a shell of root": lambda r: ["-s"],
    "a login of root": lambda r: ["-i"],
    "Python": lambda r: ["/usr/bin/python3", r[0], *r[1:]],
    "systemctl": lambda r: ["/usr/bin/systemctl", "status"],
}


@pytest.mark.parametrize("name", list(SUDO))
def test_sudo_refuses_the_user_teal_every_other_command(there: Keyed, name: str) -> None:
    with there.unchanged():
        done = there.as_teal("sudo", "-n", *SUDO[name](rule(there)))
    assert done.returncode != 0
    assert "TEAL-HOST" not in done.stdout
    assert "uid=" not in done.stdout


def test_server_side_runs_no_code_that_a_variable_names(there: Keyed) -> None:
    """sudo drops them, and Python would not ask for them."""
    evil = there.server.root / "srv/evil"
    evil.mkdir()
    (evil / "sitecustomize.py").write_text("open('/root/pwned', 'w')\n")
    (evil / "json.py").write_text("open('/root/pwned', 'w')\n")
    names = [f"{name}=/srv/evil" for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "HOME", "PATH_")]
    names += [
        "PYTHONSTARTUP=/srv/evil/json.py",
        "PYTHONINSPECT=1",
        "LD_PRELOAD=/srv/evil/x.so",
        "PYTHONBREAKPOINT=json",
    ]
    with there.unchanged():
        done = there.as_teal("env", "-C", "/srv/evil", *names, "sudo", "-n", *rule(there))
    assert "TEAL-HOST-1" in done.stdout  # it ran, and found nobody to talk to
    alone = there.as_teal(*rule(there), says=frame(Status("one")).decode())
    assert "on a server this needs root" in alone.stdout
    for path in evil.iterdir():
        path.unlink()
    evil.rmdir()


NOT_WRITTEN = (
    *("/var/lib/teal/.ssh/authorized_keys", "/var/lib/teal/.ssh/rc", "/var/lib/teal/.ssh/environment"),
    *("/etc/sudoers.d/teal-one", "/etc/sudoers.d/x", "/etc/sudoers", TEAL_HOST, f"{TEAL_HOST}.new"),
    *("/var/lib/teal/x", "/var/lib/teal/one/audit", "/var/lib/teal/one/journal", "/var/lib/teal/one/blue/start.json"),
    *("/var/lib/teal/one/live/x", "/etc/teal/one/app.json", "/etc/teal/one/footprint.json", "/var/lib/one/x"),
    *("/etc/systemd/system/teal-one@.service", "/etc/nginx/conf.d/teal-one.conf", "/etc/cron.d/x", "/root/x"),
)
NOT_READ = (
    *("/var/lib/teal/one/audit", "/var/lib/teal/one/journal", "/var/lib/teal/one/lock", "/var/lib/teal/.lock"),
    *("/etc/teal/one/app.json", "/etc/teal/one/footprint.json", "/var/lib/one", "/var/lib/teal/one/releases"),
    *("/etc/sudoers.d/teal-one", "/etc/shadow", "/etc/ssh/ssh_host_ed25519_key", "/root"),
)


def test_user_teal_writes_and_reads_no_file_of_others(there: Keyed) -> None:
    program = "import os, sys\nfor path in sys.argv[2:]:\n"
    program += " try: os.open(path, eval(sys.argv[1])); print(path)\n except OSError: pass"
    with there.unchanged():
        wrote = there.as_teal("python3", "-c", program, "os.O_RDWR | os.O_CREAT | os.O_APPEND", *NOT_WRITTEN)
        read = there.as_teal("python3", "-c", program, "os.O_RDONLY", *NOT_READ)
        moved = there.as_teal("mv", "/usr/local/lib/teal", "/usr/local/lib/teal2")
    assert (wrote.stdout, read.stdout, moved.returncode) == ("", "", 1)
    starts = list(there.server.root.glob("var/lib/teal/*/*/start.json"))
    assert [oct(path.stat().st_mode)[-3:] for path in starts] == ["600"] * len(starts) != []


def test_paths_of_programs_that_run_as_root_belong_to_root(there: Keyed) -> None:
    for path in (TEAL_HOST, "/var/lib/teal/.ssh/authorized_keys", "/etc/sudoers.d/teal-one", "/var/lib/teal/one/blue"):
        for part in (Path(path), *Path(path).parents):
            found = (there.server.root / str(part).lstrip("/")).stat()
            assert (found.st_uid, found.st_mode & 0o022) == (0, 0), part


# --- keys: let in, and no more ------------------------------------------------------------------------------------

HOSTILE_KEYS = {
    "an option before it": 'command="id" {key}',
    "a quote in its comment": '{key} x" ALL',
    "a line break": "{key}\n{other}",
    "a line break and a rule": "{key}\nteal ALL=(ALL) NOPASSWD: ALL",
    "a backslash": "{key} \\",
    "a per cent sign": "{key} %h",
    "an exclamation mark": "{key} !x",
    "a number sign": "{key} #x",
    "a tab": "ssh-ed25519\t{packed}",
    "a certificate": "ssh-ed25519-cert-v01@openssh.com {packed}",
    "another type than it says": "ssh-rsa {packed}",
    "cut": "ssh-ed25519 {cut}",
    "not a key": "ssh-ed25519 " + "A" * 64,
    "a signature of everybody": "cert-authority {key}",
    "nothing": "",
}


@pytest.mark.parametrize("name", list(HOSTILE_KEYS))
def test_setup_refuses_a_key_file_that_is_not_just_a_public_key(there: Keyed, tmp_path: Path, name: str) -> None:
    """By the client, and by the server side, which trusts no client."""
    make_key(tmp_path / "key", "plain")
    kind, packed, comment = (tmp_path / "key.pub").read_text().split()
    parts = {"key": f"{kind} {packed} {comment}", "packed": packed, "cut": packed[:47], "other": f"{kind} {packed}"}
    text = HOSTILE_KEYS[name].format(**parts)
    (tmp_path / "hostile.pub").write_text(text)
    refused = there.one.teal("setup", "--deploy-key", str(tmp_path / "hostile.pub"))
    assert refused.code == 3
    assert "not an OpenSSH public key" in refused.err
    assert public_key(text)


def test_deploy_key_of_an_app_is_refused_for_another_app(there: Keyed) -> None:
    with there.unchanged():
        refused = there.two.teal("setup", "--deploy-key", f"{there.key('one')}.pub")
    assert refused.code == 3
    assert f"the key {there.fingerprint()} deploys one already" in refused.err
    assert "ssh-keygen" in refused.err


def test_setup_changes_nothing_when_repeated_for_an_app_with_a_deploy_key(there: Keyed) -> None:
    with there.unchanged():
        assert "nothing to do" in there.one.teal("setup").ok().out
        assert "nothing to do" in there.two.teal("setup", "--deploy-key", f"{there.key('two')}.pub").ok().out


def test_setup_notices_a_deploy_key_that_was_removed_by_hand(there: Keyed) -> None:
    path = there.server.root / "var/lib/teal/.ssh/authorized_keys"
    before = path.read_text()
    path.write_text("".join(line for line in before.splitlines(True) if "--app one" not in line))
    refused = there.one.teal("setup")
    assert (refused.code, "edited by hand" in refused.err) == (2, True)
    assert "--app one" not in path.read_text()
    assert there.ssh().returncode == 255
    there.one.teal("setup", "--yes").ok()
    assert path.read_text() == before


def test_second_deploy_key_is_added_and_removed(there: Keyed) -> None:
    make_key(there.key("second"), "the second of one")
    before = there.files()
    there.one.teal("setup", "--deploy-key", f"{there.key('second')}.pub").ok()
    assert there.says(frame(Status("one")), key="second")[-1]["type"] == "statusreport"
    assert there.audit()[-1]["key"] == there.fingerprint("second")
    with there.open(key="second") as waiting:
        would = there.one.teal("setup", "--remove-key", f"{there.key('second')}.pub", "--dry-run").ok()
        assert f"let the key {there.fingerprint('second')} deploy one no more" in would.err
        there.one.teal("setup", "--remove-key", f"{there.key('second')}.pub").ok()
        heard, _ = waiting.communicate(frame(Status("one")), timeout=30)
    (told,) = answers(heard)
    assert (told["code"], "no more" in told["message"]) == ("not_allowed", True)
    assert there.audit()[-1]["ended"].startswith("not_allowed")
    assert there.ssh(key="second").returncode == 255
    assert there.says(frame(Status("one")))[-1]["type"] == "statusreport"
    after = there.files()
    changed = {path for path in before | after if before.get(path) != after.get(path)}
    assert changed <= {"/etc/teal/one/footprint.json"}
    unknown = there.one.teal("setup", "--remove-key", there.fingerprint("second"))
    assert (unknown.code, "nothing to remove" in unknown.err) == (3, True)


def test_last_deploy_key_takes_everything_made_for_keys_along_even_while_it_is_in_use(there: Keyed) -> None:
    before = there.files()
    for app in (there.two, there.one):
        with there.open(key=app.name):
            app.teal("setup", "--remove-key", there.fingerprint(app.name)).ok()
        assert there.ssh(key=app.name).returncode == 255
    assert there.server.run("getent", "passwd", "teal").returncode != 0
    assert not (there.server.root / "var/lib/teal/.ssh").exists()
    assert list(there.server.root.glob("etc/sudoers.d/teal*")) == []
    for app in (there.one, there.two):
        app.teal("setup", "--deploy-key", f"{there.key(app.name)}.pub").ok()
    told = there.files()
    volatile = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/teal/", "/etc/sub", "/etc/.pwd")
    changed = {path for path in before | told if before.get(path) != told.get(path)}
    mine = ("/var/lib/teal/two/audit", "/var/lib/teal/.ssh")  # who was in has left a line; the user is another number
    assert {path for path in changed if not path.startswith(volatile)} <= {*mine}


def test_destroy_removes_an_app_while_its_deploy_key_is_in_use(there: Keyed) -> None:
    with there.open(key="two"):
        there.two.teal("destroy", "-y").ok()
    assert there.ssh(key="two").returncode == 255
    assert there.says(frame(Status("one")))[-1]["type"] == "statusreport"
