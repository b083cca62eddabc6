"""The argv with which the client reaches a server: what ssh gets, and that no name becomes an option."""

import json
import os
import pwd
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.world import REPO, World
from teal import transports
from teal.ground import run
from teal.ground.errors import CannotReach, Usage
from teal.pipe.greeting import Preamble, TransportExit, explain_silence
from teal.pipe.session import Session
from teal.transports import Transport, base, choose
from teal.transports import ssh as remote
from teal.transports.ssh import explain, first_path, parse
from teal.transports.ssh_files import SshFiles, ssh_files
from teal_host.wire.requests import Logs, Status

SHORT = 'app = "shop"\n[run]\ncommand = ["./app"]\n[build]\nartifact = "app"\n'
DUMP = "#!{python}\nimport json, os, sys\nopen(os.environ['DUMP'], 'w').write(json.dumps(sys.argv))\nsys.exit(255)\n"


@pytest.fixture
def argv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file into which `ssh` and `multipass` on PATH write their arguments."""
    for name in ("ssh", "multipass"):
        (tmp_path / name).write_text(DUMP.format(python=sys.executable))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DUMP", str(tmp_path / "argv"))
    return tmp_path / "argv"


def called(argv: Path, target: str) -> list[str]:
    with pytest.raises(CannotReach):
        Session(choose(target))
    words = json.loads(argv.read_text())
    assert isinstance(words, list)
    return words[1:]


REACHED = {
    "ssh://shop": (None, None, "shop"),
    "ssh://root@203.0.113.10": ("root", None, "203.0.113.10"),
    "ssh://root@203.0.113.10:22/": ("root", "22", "203.0.113.10"),
    "ssh://_me.x-y@shop.example.com:2222": ("_me.x-y", "2222", "shop.example.com"),
    "ssh://root@[2001:db8::1]:22": ("root", "22", "2001:db8::1"),
    "ssh://me@[fe80::1%eth0]": ("me", None, "fe80::1%eth0"),
}


@pytest.mark.parametrize(("target", "expected"), REACHED.items(), ids=list(REACHED))
def test_ssh_gets_the_user_port_and_host_of_the_target(
    argv: Path, target: str, expected: tuple[str | None, str | None, str]
) -> None:
    words = called(argv, target)
    host, command = words[-2:]
    assert words[-3] == "--"
    options = words[:-3]
    named = {flag: options[options.index(flag) + 1] if flag in options else None for flag in ("-l", "-p")}
    assert (named["-l"], named["-p"], host) == expected
    assert shlex.split(command)[:4] == ["python3", "-I", "-S", "-c"]
    assert shlex.split(command)[5:] == ["--server"]


def test_ssh_options_ask_for_a_pipe_and_weaken_nothing(argv: Path) -> None:
    words = called(argv, "ssh://root@shop")
    assert {"-T", "-a", "-x"} <= set(words)
    set_here = {words[at + 1] for at, word in enumerate(words) if word == "-o"}
    assert set_here - {"BatchMode=yes"} == {
        "ClearAllForwardings=yes",
        "RemoteCommand=none",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=4",
    }


@pytest.mark.parametrize(("asks", "ci"), [(True, ""), (False, ""), (False, "true")])
def test_ssh_runs_in_batch_mode_when_nobody_can_be_asked(
    argv: Path, monkeypatch: pytest.MonkeyPatch, asks: bool, ci: str
) -> None:
    monkeypatch.setattr("teal.transports.ssh.has_a_person", lambda: asks)
    assert ("BatchMode=yes" in called(argv, "ssh://shop")) is not asks
    assert choose("ssh://shop").own_session is not asks


def test_ci_variable_means_that_nobody_can_be_asked_even_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    own_end, end = os.openpty()
    code = "from teal.transports.base import has_a_person; print(has_a_person())"
    for ci, expected in (("true", "False"), ("", "True"), ("false", "True")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "CI": ci, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            preexec_fn=lambda: _with_terminal(end),
        )
        assert done.stdout.strip() == expected
    os.close(own_end)
    os.close(end)


def _with_terminal(end: int) -> None:
    """Does the same as `os.login_tty`, but keeps standard output."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(end, termios.TIOCSCTTY, 0)


UNREACHABLE = [
    "ssh://-oProxyCommand=touch${IFS}x",
    "ssh://root@-oProxyCommand=x",
    "ssh://-l@host",
    "ssh://root@ho st",
    "ssh://root@host -p 23",
    "ssh://root@%h",
    "ssh://%r@host",
    "ssh://root@host%eth0",
    "ssh://ro'ot@host",
    'ssh://root@"host"',
    "ssh://root@$(id)",
    "ssh://root@host;id",
    "ssh://root@host\nid",
    "ssh://root@host:0",
    "ssh://root@host:-1",
    "ssh://root@host:70000",
    "ssh://root@[fe80::1%-o]x",
    "ssh://root@[-oX]",
    "ssh://",
    "ssh://root@",
    "multipass://-n",
    "multipass://a b",
    "multipass://primary --",
]


@pytest.mark.parametrize("target", UNREACHABLE)
def test_target_never_becomes_an_option_or_a_command(argv: Path, world: World, target: str) -> None:
    world.home.joinpath("app").write_text("")
    world.home.joinpath("teal.toml").write_text(f"{SHORT}[server]\ntarget = {json.dumps(target)}\n")
    for command in ("status", "ssh", "deploy"):
        ended = world.teal(command)
        assert (ended.code, "server.target" in ended.err) == (3, True), ended.err
    assert not argv.exists()


@pytest.mark.parametrize("target", ["ssh://-oProxyCommand=x", "ssh://[-oX]", "http://host", "ssh://a b@c d"])
def test_ssh_host_follows_a_double_dash_when_the_config_did_not_check_the_target(argv: Path, target: str) -> None:
    """After `--`, ssh takes the name as a host; without a host ssh connects to nothing."""
    try:
        words = called(argv, target)
    except FileNotFoundError:
        return
    assert words[-3] == "--"


def test_stage_0_needs_no_quoting_beyond_single_quotes(argv: Path) -> None:
    """Any login shell passes the text on: fish treats a backslash in quotes specially, and csh a `!`."""
    command = called(argv, "ssh://shop")[-1]
    stage0 = shlex.split(command)[4]
    assert f"'{stage0}'" in command
    assert not set(stage0) & set("'\\!\n\r`$")
    assert len(stage0) < 2000


def test_multipass_gets_the_instance_and_the_words_of_the_command(argv: Path) -> None:
    words = called(argv, "multipass://bluegreen-demo")
    assert words[:7] == ["exec", "bluegreen-demo", "--", "python3", "-I", "-S", "-c"]
    assert words[8:] == ["--server"]


@pytest.fixture
def vm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Transport:
    """An instance of the stand-in for multipass. Its commands run on this machine, but its pipes lose their ends."""
    stand_in = tmp_path / "bin/multipass"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} {REPO / "tests/apps/multipass.py"} "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("MULTIPASS_INSTANCES", json.dumps({"demo": {"state": "Running", "ssh": ["/bin/sh", "-c"]}}))
    here = choose("multipass://demo")
    python = (sys.executable, "-I", "-S")
    return replace(here, server=False, python=python, arguments=("--root", str(tmp_path / "state")))


@pytest.mark.parametrize("asked", [None, Status("shop"), Logs("shop", follow=True)], ids=str)
def test_server_side_ends_by_itself_when_multipass_loses_the_end_of_the_pipe(
    vm: Transport, asked: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "ENDS_WITHIN_S", 120.0)
    began = time.monotonic()
    with Session(vm) as session:
        if asked is not None:
            session.send(asked)
    assert not Path(f"/proc/{session.greeting.pid}").exists()
    assert time.monotonic() - began < run.ENDS_WITHIN_S  # the process ended by itself; nobody ended it


LOGINS = {
    ("ssh://me@shop:2222", ()): ["ssh", "-p", "2222", "-l", "me", "--", "shop"],
    ("ssh://shop", ("ls", "a b")): ["ssh", "--", "shop", "ls 'a b'"],
    ("multipass://demo", ()): ["multipass", "shell", "demo"],
    ("multipass://demo", ("ls", "a b")): ["multipass", "exec", "demo", "--", "ls", "a b"],
}


@pytest.mark.parametrize(("asked", "argv_"), LOGINS.items(), ids=lambda value: str(value)[:40])
def test_login_runs_the_plain_command_of_ssh_or_multipass(asked: tuple[str, tuple[str, ...]], argv_: list[str]) -> None:
    assert transports.login(asked[0], asked[1], False) == argv_


def test_login_command_gets_a_terminal_when_the_user_has_one() -> None:
    assert transports.login("ssh://shop", ("top",), True) == ["ssh", "-t", "--", "shop", "top"]


def test_login_is_refused_for_this_machine(world: World) -> None:
    with pytest.raises(Usage):
        transports.login("local", (), False)
    world.home.joinpath("teal.toml").write_text(SHORT)
    ended = world.teal("ssh")
    assert (ended.code, "runs on this machine" in ended.err) == (2, True)


def test_teal_ssh_becomes_ssh_with_its_exit_code(argv: Path, world: World) -> None:
    world.home.joinpath("teal.toml").write_text(f'{SHORT}[server]\ntarget = "ssh://me@shop"\n')
    ended = world.teal("ssh", "--", "ls", "-l", "two  words")
    assert ended.code == 255
    assert json.loads(argv.read_text())[1:] == ["-l", "me", "--", "shop", "ls -l 'two  words'"]


def test_command_of_teal_ssh_reaches_a_shell_of_the_server_only_through_sh(argv: Path, world: World) -> None:
    """ssh joins the words for a shell on the server, which this test runs here. The help says the way."""
    world.home.joinpath("teal.toml").write_text(f'{SHORT}[server]\ntarget = "ssh://me@shop"\n')
    printed = []
    for command in (["echo", "$(echo 7)"], ["sh", "-c", "echo $(echo 7)"]):
        world.teal("ssh", "--", *command)
        word = json.loads(argv.read_text())[-1]
        printed.append(subprocess.run(["sh", "-c", word], capture_output=True, text=True, check=True).stdout)
    assert printed == ["$(echo 7)\n", "7\n"]
    assert "teal ssh -- sh -c '…'" in world.teal("ssh", "--help").ok().out


def test_teal_ssh_without_ssh_says_what_to_install(world: World) -> None:
    world.home.joinpath("teal.toml").write_text(f'{SHORT}[server]\ntarget = "ssh://me@shop"\n')
    ended = world.teal("ssh", PATH="/nonexistent")
    assert (ended.code, "apt install openssh-client" in ended.err) == (4, True)


@pytest.mark.parametrize(
    ("files", "first"),
    [
        ("/root/.ssh/known_hosts /root/.ssh/known_hosts2", "/root/.ssh/known_hosts"),
        ("/my keys/known", "'/my keys/known'"),
        ("/my keys/known ~/.ssh/other", "'/my keys/known'"),
        ("/a;b", "'/a;b'"),
    ],
)
def test_first_path_is_whole_and_quoted_when_it_has_a_space(files: str, first: str) -> None:
    assert first_path(files) == first


@pytest.mark.hint("does it run? multipass info {}")
def test_hint_for_silence_is_that_of_the_transport() -> None:
    """At 768eec4 a virtual machine and this machine were asked whether a firewall blocks ssh."""
    silence = Preamble(in_time=False)
    hints = [
        explain_silence(choose(target), silence, TransportExit(None)).hint
        for target in ("ssh://shop", "multipass://shop", "local")
    ]
    assert [("ssh" in hint, "multipass info shop" in hint, hint == "") for hint in hints] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_ssh_error_is_explained_for_exit_code_255_only() -> None:
    destination = parse("ssh://shop")
    assert explain(destination, SshFiles(), 1, ["Permission denied (publickey)."]) is None
    unknown = explain(destination, SshFiles(), 255, ["something new"])
    assert unknown is not None
    assert (unknown.evidence, unknown.exit_code) == (("something new",), 4)


@pytest.fixture
def shop(world: World) -> World:
    """A directory whose app has the server ssh://me@shop."""
    world.home.joinpath("teal.toml").write_text(f'{SHORT}[server]\ntarget = "ssh://me@shop"\n')
    world.home.joinpath("app").write_text("")
    return world


@pytest.mark.parametrize("command", ["status", "deploy", "setup", "rollback", "logs", "exec true", "ssh", "destroy -y"])
def test_every_command_gives_ssh_the_configuration_of_the_environment(argv: Path, shop: World, command: str) -> None:
    config = shop.home / "ci" / "ssh_config"
    config.parent.mkdir()
    config.write_text("Host *\n")
    shop.teal(*command.split(), TEAL_SSH_CONFIG="ci/ssh_config")
    assert json.loads(argv.read_text())[1:3] == ["-F", str(config)]


def test_ssh_configuration_begins_at_the_current_directory_and_not_at_the_config(argv: Path, shop: World) -> None:
    elsewhere = shop.home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("")
    shop.teal("status", "-C", str(shop.home), cwd=elsewhere, TEAL_SSH_CONFIG="mine")
    assert json.loads(argv.read_text())[1:3] == ["-F", str(elsewhere / "mine")]


@pytest.mark.parametrize("command", ["status", "deploy", "ssh"])
@pytest.mark.parametrize("named", ["missing", ".", "none", "-oProxyCommand=x"])
def test_missing_ssh_configuration_is_a_mistake_in_usage(argv: Path, shop: World, command: str, named: str) -> None:
    ended = shop.teal(command, TEAL_SSH_CONFIG=named)
    assert (ended.code, "TEAL_SSH_CONFIG names" in ended.err) == (2, True), ended.err
    assert not argv.exists()


def test_empty_ssh_configuration_counts_as_none(argv: Path, shop: World) -> None:
    shop.teal("status", TEAL_SSH_CONFIG="")
    assert "-F" not in json.loads(argv.read_text())


def test_ssh_configuration_is_no_key_of_teal_toml(shop: World) -> None:
    file = shop.home / "teal.toml"
    file.write_text(f"{file.read_text()}ssh_config = 'mine'\n")
    ended = shop.teal("status")
    assert (ended.code, "ssh_config" in ended.err) == (3, True)


BY_FILES = ["Host key verification failed.", "root@shop: Permission denied (publickey)."]


@pytest.mark.parametrize("text", BY_FILES)
def test_hint_names_the_home_of_ssh_when_the_environment_has_another(text: str) -> None:
    error = explain(parse("ssh://shop"), SshFiles("", "/root", "/github/home"), 255, [text])
    assert error is not None
    assert "/root/.ssh" in error.hint
    assert "HOME=/github/home" in error.hint
    assert "TEAL_SSH_CONFIG" in error.hint


@pytest.mark.parametrize("text", BY_FILES)
def test_hint_tries_the_configuration_of_the_environment(text: str) -> None:
    error = explain(parse("ssh://me@shop"), SshFiles("/ci/config", "/root", "/github/home"), 255, [text])
    assert error is not None
    assert "ssh -F /ci/config me@shop" in error.hint
    assert "HOME" not in error.hint


@pytest.mark.parametrize("person", [True, False])
def test_hint_on_an_unknown_host_key_begins_with_what_its_reader_can_do(
    person: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "has_a_person", lambda: person)
    error = explain(parse("ssh://me@shop"), SshFiles("/ci/config"), 255, ["Host key verification failed."])
    assert error is not None
    first, last = "ssh -F /ci/config me@shop once", "put the server's line into "
    assert error.hint.startswith(first if person else last)
    assert (last if person else first) in error.hint


def test_ssh_without_a_user_in_the_password_file_is_explained() -> None:
    error = explain(parse("ssh://shop"), SshFiles(), 255, ["No user exists for uid 1001"])
    assert error is not None
    assert "/etc/passwd" in error.hint


def test_home_of_ssh_is_that_of_the_password_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = pwd.getpwuid(os.getuid()).pw_dir
    monkeypatch.delenv("TEAL_SSH_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (ssh_files().ssh_home, ssh_files().ignores_home) == (real, True)
    monkeypatch.setenv("HOME", real)
    assert not ssh_files().ignores_home


def test_answer_deadline_is_longer_for_a_person_than_for_a_machine() -> None:
    assert base.A_PERSON_ANSWERS_WITHIN_S > base.ANSWERS_WITHIN_S
