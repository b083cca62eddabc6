"""Walks of the hints on the way to a server. Stand-ins for ssh and multipass lead to a server side of this machine.

tests/server/test_reach.py walks the hints on what the real ssh says, and tests/server/test_line.py those on a line
that is cut.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from client.test_hostile_server import HONEST, said
from harness.ssh_access import write_program
from harness.world import REPO, App, wait_until
from hints.test_walks import printed, shell
from teal.transports.local import find_nginx

SERVES = """
import sys
if "binascii" not in " ".join(sys.argv):
    sys.exit(0)  # a person's own login
sys.path.insert(0, {source!r})
sys.argv = ["teal-host", "--root", {root!r}, "--nginx", {nginx!r}]
from teal_host.start import serve
sys.exit(serve())
"""
OLD = """
import shlex, sys
sys.version_info = (3, 7, 17)
exec(shlex.split(sys.argv[-1])[4])
"""
CUTS = """
import json, os, struct, subprocess, sys, threading
here, there = sys.stdin.buffer, subprocess.Popen({serves!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
def answers():
    while piece := os.read(there.stdout.fileno(), 65536):
        os.write(1, piece)
threading.Thread(target=answers, daemon=True).start()
word = ""
while word != {word!r} and (head := here.read(8)):
    text, body = (here.read(size) for size in struct.unpack(">II", head))
    word = json.loads(text)["type"]
    if word != {word!r} or {passes_on}:
        there.stdin.write(head + text + body)
os._exit(255)
"""  # then the line is cut: this program and its pipes end, and the server side has what was passed on


@pytest.fixture
def shop(app: App) -> App:
    """An app whose target is a server, which is a server side of this machine."""
    app.world.path = str(app.world.home / "programs")
    Path(app.world.path).mkdir()
    app.config(server={"target": "ssh://me@shop"})
    program(app, "ssh", serves(app))
    return app


def program(shop: App, name: str, text: str) -> None:
    """Puts a Python program on PATH, with another Python than that of a server."""
    write_program(Path(shop.world.path) / name, f"#!{sys.executable} -IS\n{text}")


def serves(shop: App) -> str:
    return SERVES.format(source=str(REPO / "src"), root=str(shop.world.root), nginx=find_nginx())


def is_well(shop: App) -> None:
    assert shop.status()["app"] == "shop"


def asked(shop: App, text: str, **env: str) -> str:
    return printed(shop.teal("status", **env), text)


class TestPrograms:
    """ssh or multipass is not there: the command of the hint installs it. apt and snap are stand-ins."""

    @pytest.mark.hint("apt install openssh-client", "snap install multipass")
    @pytest.mark.parametrize(
        ("target", "text"),
        [("ssh://shop", "apt install openssh-client"), ("multipass://shop", "snap install multipass")],
    )
    @pytest.mark.parametrize("command", ["status", "ssh"])
    def test_hint_on_a_missing_program_installs_it(self, shop: App, target: str, text: str, command: str) -> None:
        installer, _, package = text.split()
        name = {"openssh-client": "ssh"}.get(package, package)
        folder = shop.world.home / "away"
        folder.mkdir()
        (Path(shop.world.path) / "ssh").rename(folder / name)
        program(
            shop,
            installer,
            f"import os, sys\nassert sys.argv[1:] == ['install', {package!r}]\n"
            f"os.rename({str(folder / name)!r}, {str(Path(shop.world.path) / name)!r})\n",
        )
        shop.config(server={"target": target})
        shell(shop, printed(shop.teal(command, PATH=shop.world.path), text))
        shop.teal(command, PATH=shop.world.path).ok()


class TestMultipass:
    STATES: ClassVar[dict[str, dict[str, object]]] = {
        "multipass list; or: multipass launch --name {name}": {},
        "multipass recover {name} && multipass start {name}": {"shop": "Deleted"},
        "multipass start {name}": {"shop": "Stopped"},
    }

    @pytest.fixture
    def vm(self, shop: App, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The file of the instances."""
        instances = shop.world.home / "instances"
        monkeypatch.setenv("MULTIPASS_INSTANCES", str(instances))
        login = shop.world.home / "login"
        write_program(login, f"#!{sys.executable} -IS\n{serves(shop)}")
        instances.write_text(json.dumps({"image": {"state": "Running", "ssh": [str(login)]}}))
        write_program(
            Path(shop.world.path) / "multipass",
            f'#!/bin/sh\nexec {sys.executable} {REPO / "tests/apps/multipass.py"} "$@"\n',
        )
        shop.config(server={"target": "multipass://shop"})
        return instances

    @pytest.mark.hint(
        "multipass list; or: multipass launch --name {name}",
        "multipass recover {name} && multipass start {name}",
        "multipass start {name}",
    )
    @pytest.mark.parametrize("text", STATES)
    def test_hint_on_an_instance_leads_to_it(self, shop: App, vm: Path, text: str) -> None:
        known = json.loads(vm.read_text())
        states = {name: {**known["image"], "state": state} for name, state in self.STATES[text].items()}
        vm.write_text(json.dumps(known | states))
        shell(shop, asked(shop, text).replace("; or: ", "; "))
        is_well(shop)

    @pytest.mark.hint("is its service running? multipass version")
    def test_hint_on_multipass_shows_whether_its_service_runs(self, shop: App, vm: Path) -> None:
        known = json.loads(vm.read_text())
        known["shop"] = known["image"]
        vm.write_text(json.dumps({**known, "down": True}))
        version = asked(shop, "is its service running? multipass version").partition("? ")[2]
        with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
            shell(shop, version)
        vm.write_text(json.dumps(known))
        shell(shop, version)
        is_well(shop)


class TestServer:
    @pytest.mark.hint("a newer Debian or Ubuntu")
    def test_hint_on_an_old_python_names_what_is_needed(self, shop: App) -> None:
        write_program(Path(shop.world.path) / "ssh", f"#!/usr/bin/python3 -IS\n{OLD}")
        asked(shop, "a newer Debian or Ubuntu")
        program(shop, "ssh", serves(shop))
        is_well(shop)

    @pytest.mark.hint("find out who else can log in to {}, and whether it is the machine that you mean")
    def test_hint_on_a_machine_that_is_none_of_teal_leads_to_another_target(self, shop: App) -> None:
        program(
            shop,
            "ssh",
            f"import sys\nif sys.argv[-2] == 'other':\n    exec({said({**HONEST, 'machine': ';'})!r})\n"
            f"else:\n    exec({serves(shop)!r})\n",
        )
        shop.config(server={"target": "ssh://me@other"})
        asked(shop, "find out who else can log in to {}, and whether it is the machine that you mean")
        shop.config(server={"target": "ssh://me@shop"})
        is_well(shop)

    @pytest.mark.hint("unset TEAL_SSH_CONFIG, or name another file")
    @pytest.mark.parametrize("named", ["nothing", "."])
    def test_hint_on_the_configuration_of_ssh_leads_on(self, shop: App, named: str) -> None:
        asked(shop, "unset TEAL_SSH_CONFIG, or name another file", TEAL_SSH_CONFIG=named)
        is_well(shop)
        (shop.directory / "mine").write_text("")
        shop.teal("status", TEAL_SSH_CONFIG="mine").ok()

    @pytest.mark.hint("teal status")
    def test_hint_of_ssh_on_this_machine_shows_the_app(self, app: App) -> None:
        shell(app, printed(app.teal("ssh"), "teal status"))


class TestCutLine:
    """The line is cut when the client has sent one message, before or after it has come to the server."""

    def cut(self, shop: App, word: str, passes_on: bool) -> None:
        login = [sys.executable, "-IS", "-c", serves(shop), "binascii"]
        program(shop, "ssh", CUTS.format(serves=login, word=word, passes_on=passes_on))

    @pytest.mark.hint("try again")
    @pytest.mark.parametrize(("command", "word"), [("status", "status"), ("deploy", "deploy")])
    def test_hint_on_a_line_cut_before_the_server_heard_is_to_repeat(self, shop: App, command: str, word: str) -> None:
        self.cut(shop, word, passes_on=False)
        printed(shop.teal(*command.split()), "try again")
        program(shop, "ssh", serves(shop))
        shop.teal(*command.split()).ok()

    @pytest.mark.hint("teal env list")
    def test_hint_on_a_line_cut_after_a_secret_shows_the_secret(self, shop: App) -> None:
        self.cut(shop, "input", passes_on=True)
        hint = printed(shop.teal("env", "set", "TOKEN", stdin="one"), "teal env list")
        program(shop, "ssh", serves(shop))
        wait_until(lambda: "TOKEN" in shop.teal(*hint.split()[1:]).ok().out)

    @pytest.mark.hint("teal status")
    def test_hint_on_a_line_cut_after_commit_shows_the_release(self, shop: App) -> None:
        self.cut(shop, "commit", passes_on=True)
        hint = printed(shop.deploy(), "teal status")
        program(shop, "ssh", serves(shop))
        wait_until(lambda: "live" in shop.teal(*hint.split()[1:]).ok().out)
        assert shop.get()["version"] == "v1"


class TestPaths:
    @pytest.mark.hint("check the path")
    def test_hints_on_a_path_lead_on(self, app: App) -> None:
        printed(app.deploy("--dry-run", "--artifact", "programm"), "check the path")
        app.deploy("--dry-run", "--artifact", "program").ok()
        printed(app.teal("status", "-C", "elsewhere/none"), "check the path")
        app.teal("status", "-C", "teal.toml").ok()
