"""The line between the two sides on a real server: questions on a terminal, Ctrl-C, and cut lines."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import harness
from harness import Server, plain_teal
from harness.background import children
from harness.ssh_access import SshAccess, run, ssh_access
from harness.terminal import Terminal
from harness.world import PROGRAM, REPO, wait_until
from teal.ground.errors import CannotReach

TEAL = [sys.executable, plain_teal.__file__]
COUNT = iter(range(1000))
AS_ROOT = pytest.mark.parametrize("shop", ["root"], indirect=True)


@dataclass(frozen=True)
class Shop:
    """An app of one test, on a server that other tests use too."""

    access: SshAccess
    directory: Path
    name: str

    @property
    def env(self) -> dict[str, str]:
        """The environment of a person, also where the tests run in CI."""
        inherited = {name: value for name, value in os.environ.items() if name != "CI"}
        return {**inherited, "PYTHONPATH": f"{REPO / 'src'}:{REPO / 'tests'}"}

    def program(self, **behaviour: Any) -> None:
        path = self.directory / "program"
        path.write_text(f"#!/usr/bin/python3\nBEHAVIOUR = {behaviour!r}\n{PROGRAM.read_text()}")
        path.chmod(0o755)

    def gate(self) -> Path:
        """A file that a program may wait for before it listens."""
        return self.access.server.root / f"srv/{self.name}-may-listen"

    def on_a_terminal(self, *arguments: str) -> Terminal:
        return Terminal([*TEAL, *arguments], str(self.directory), self.env)

    def run(self, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [*TEAL, *arguments],
            cwd=self.directory,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout.splitlines()[-1])
        assert isinstance(result, dict)
        return result

    def live(self) -> str | None:
        live = self.run("status", "--json")["live"]
        return live if isinstance(live, str) else None

    def journal(self) -> str:
        path = self.access.server.root / f"srv/teal/var/lib/teal/{self.name}/journal"
        return path.read_text() if path.exists() else ""


@pytest.fixture(scope="module")
def server(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("line")
    with harness.server(debian, directory, packages=["nginx", "sudo"]) as booted:
        SshAccess(booted, directory).user("ada", "ALL=(root) NOPASSWD: ALL")
        yield booted


@pytest.fixture(params=["root", "ada"])
def shop(request: pytest.FixtureRequest, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    access = ssh_access(server, tmp_path, monkeypatch)
    number = next(COUNT)
    made = Shop(access, tmp_path / "shop", f"shop{number}")
    made.directory.mkdir()
    (made.directory / "teal.toml").write_text(
        f"""\
app = "{made.name}"
[build]
artifact = "program"
[server]
target = "ssh://{request.param}@{server.name}"
http_port = {9000 + number}
[run]
command = ["./program"]
[keep]
watch_s = 0
drain_s = 0
"""
    )
    made.program(version="v1")
    return made


def test_deploys_and_a_rollback_work_through_ssh(shop: Shop) -> None:
    first = shop.run("deploy", "--json")
    assert (first["outcome"], first["color"]) == ("live", "blue")
    shop.program(version="v2")
    assert shop.run("deploy", "--json")["color"] == "green"
    assert shop.run("rollback", "--json")["color"] == "blue"
    assert shop.live() == "blue"


def test_server_side_finishes_the_deploy_when_the_line_is_cut_after_commit(shop: Shop) -> None:
    cut_after_commit(shop)


def cut_after_commit(shop: Shop) -> None:
    listens = shop.gate()
    shop.program(version="v1", waits_for=f"/{listens.relative_to(shop.access.server.root)}")
    terminal = shop.on_a_terminal("deploy", "--json")
    terminal.wait_for('"name": "health", "state": "started"')
    (ssh,) = children(terminal.process.pid)
    os.kill(ssh, signal.SIGKILL)
    assert terminal.ended() == 9
    listens.touch()
    assert "contact lost after commit" in terminal.seen
    wait_until(lambda: '"outcome":"live"' in shop.journal().replace(" ", ""))
    assert shop.live() == "blue"


@pytest.mark.parametrize("debian", [13], ids=["debian13"], indirect=True)
@pytest.mark.parametrize("shop", ["ada"], indirect=True)
def test_sudo_rs_works_in_place_of_sudo(shop: Shop) -> None:
    """Ubuntu has sudo-rs since 25.10: another program with the same name and fewer options. Debian 12 has none."""
    server = shop.access.server
    run(server, "apt-get", "install", "-y", "sudo-rs")
    run(server, "mv", "/usr/bin/sudo", "/usr/bin/sudo.away")
    run(server, "ln", "-s", "/usr/lib/cargo/bin/sudo", "/usr/bin/sudo")
    try:
        cut_after_commit(shop)
        shop.access.user("eve")
        with pytest.raises(CannotReach, match="eve may not use sudo without a password"):
            shop.access.ask(shop.access.at("eve"))
        shop.access.user("carl", "ALL=(root) NOPASSWD: /usr/local/lib/teal/teal-host")
        shop.access.install()
        assert shop.access.ask(shop.access.at("carl"))[0].app == "shop"
    finally:
        run(server, "mv", "/usr/bin/sudo.away", "/usr/bin/sudo")
        shutil.rmtree(server.root / "usr/local/lib/teal", ignore_errors=True)


@pytest.mark.row("G10")
def test_server_side_finishes_the_deploy_when_ctrl_c_comes_after_commit(shop: Shop) -> None:
    """The terminal sends the interrupt to ssh, too, and ssh ends. The server side no longer needs it."""
    listens = shop.gate()
    shop.program(version="v1", waits_for=f"/{listens.relative_to(shop.access.server.root)}")
    terminal = shop.on_a_terminal("deploy", "--json")
    terminal.wait_for('"name": "health", "state": "started"')
    terminal.type("\x03")
    assert terminal.ended() == 130
    listens.touch()
    assert "the server goes on with the deploy and finishes it by itself" in terminal.seen
    wait_until(lambda: '"outcome":"live"' in shop.journal().replace(" ", ""))
    assert shop.live() == "blue"


# --- questions ----------------------------------------------------------------------------------------------------


@pytest.fixture
def unknown(shop: Shop) -> Shop:
    """An app whose ssh does not know the server's key and may ask."""
    known = shop.directory / "known_hosts"
    shop.access.use(shop.access.config("BatchMode no", "StrictHostKeyChecking ask", f"UserKnownHostsFile {known}"))
    return shop


@AS_ROOT
def test_host_key_question_reaches_the_person_and_the_answer_reaches_ssh(unknown: Shop) -> None:
    terminal = unknown.on_a_terminal("status", "--json")
    terminal.wait_for(r"continue connecting")
    (ssh,) = children(terminal.process.pid)
    assert os.readlink(f"/proc/{ssh}/fd/2").startswith("/dev/pts/")  # so that ssh says "touch your key"
    terminal.type("yes\n")
    assert terminal.ended() == 0
    assert '"live": null' in terminal.seen


@AS_ROOT
def test_rejected_host_key_stops_before_anything_is_sent(unknown: Shop) -> None:
    terminal = unknown.on_a_terminal("status")
    terminal.wait_for(r"continue connecting")
    terminal.type("no\n")
    assert terminal.ended() == 4
    assert "is not known; nothing was sent" in terminal.seen


@AS_ROOT
def test_ctrl_c_at_the_host_key_question_ends_teal_and_ssh(unknown: Shop) -> None:
    terminal = unknown.on_a_terminal("status")
    terminal.wait_for(r"continue connecting")
    (ssh,) = children(terminal.process.pid)
    terminal.type("\x03")
    assert terminal.ended() in (4, 130)
    assert not Path(f"/proc/{ssh}").exists()


@AS_ROOT
def test_unknown_host_key_asks_no_question_in_ci(unknown: Shop) -> None:
    terminal = Terminal([*TEAL, "status"], str(unknown.directory), {**unknown.env, "CI": "true"})
    assert terminal.ended() == 4
    assert "continue connecting" not in terminal.seen
    assert "is not known; nothing was sent" in terminal.seen


# --- teal ssh -----------------------------------------------------------------------------------------------------


@AS_ROOT
def test_teal_ssh_runs_a_command_on_a_terminal_of_its_own(shop: Shop) -> None:
    terminal = shop.on_a_terminal("ssh", "--", "sh", "-c", "tty; id -un; exit 7")
    assert terminal.ended() == 7
    assert "/dev/pts/" in terminal.seen
    assert "root" in terminal.seen


@AS_ROOT
def test_teal_ssh_opens_a_login_shell(shop: Shop) -> None:
    terminal = shop.on_a_terminal("ssh")
    terminal.wait_for(r"# ")
    terminal.type("exit 5\n")
    assert terminal.ended() == 5


# --- multipass ----------------------------------------------------------------------------------------------------


@pytest.fixture
def vm(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The same server as an instance of multipass, with its default user."""
    stand_in = shop.access.programs / "multipass"
    stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} {REPO / "tests/apps/multipass.py"} "$@"\n')
    stand_in.chmod(0o755)
    login = [shutil.which("ssh"), "-F", str(shop.access.server.ssh_config), "-l", "ada", shop.access.server.name]
    instances = {"demo": {"state": "Running", "ssh": login}, "off": {"state": "Stopped", "ssh": []}}
    monkeypatch.setenv("MULTIPASS_INSTANCES", json.dumps(instances))
    toml = shop.directory / "teal.toml"
    toml.write_text(toml.read_text().replace(f"ssh://root@{shop.access.server.name}", "multipass://demo"))
    return shop


@AS_ROOT
def test_deploys_work_through_multipass(vm: Shop) -> None:
    assert vm.run("deploy", "--json")["outcome"] == "live"
    vm.program(version="v2")
    assert vm.run("deploy", "--json")["color"] == "green"
    assert vm.live() == "green"


@AS_ROOT
def test_followed_logs_end_the_server_side_when_the_client_is_interrupted(vm: Shop) -> None:
    """multipass never delivers the end of the pipe, so the client says that it has enough."""
    vm.run("deploy", "--json")
    terminal = vm.on_a_terminal("logs", "-f")
    terminal.wait_for("version v1 starts")
    assert server_sides(vm)
    os.kill(terminal.process.pid, signal.SIGINT)
    terminal.ended()
    wait_until(lambda: not server_sides(vm))


def server_sides(shop: Shop) -> str:
    return shop.access.server.run("pgrep", "-f", "binascii").stdout.strip()


WORDS = {
    ("demo", "Deleted"): ("the instance demo is deleted", "multipass recover demo"),
    ("off", "Stopped"): ("the instance off is not running", "multipass start off"),
    ("nope", None): ("there is no instance nope", "multipass list"),
}


@AS_ROOT
@pytest.mark.parametrize(("instance", "explanation"), WORDS.items(), ids=str)
def test_multipass_failure_is_explained_in_words(
    vm: Shop, monkeypatch: pytest.MonkeyPatch, instance: tuple[str, str | None], explanation: tuple[str, str]
) -> None:
    name, state = instance
    if state:
        monkeypatch.setenv("MULTIPASS_INSTANCES", json.dumps({name: {"state": state, "ssh": []}}))
    toml = vm.directory / "teal.toml"
    toml.write_text(toml.read_text().replace("multipass://demo", f"multipass://{name}"))
    terminal = vm.on_a_terminal("status")
    assert terminal.ended() == 4
    assert all(words in terminal.seen for words in explanation)


@AS_ROOT
def test_missing_multipass_is_named(vm: Shop) -> None:
    (vm.access.programs / "multipass").unlink()
    terminal = vm.on_a_terminal("status")
    assert terminal.ended() == 4
    assert "cannot start multipass" in terminal.seen
