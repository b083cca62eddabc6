"""Teal refuses a program that does not fit this machine before the upload, with a hint; the live release serves on."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from client.elf import AARCH64, LOADER, X86_64, Made
from contract.judge import judged_lines
from harness.world import App
from teal.pipe.bootstrap import payload

PADDING = os.urandom(1_000_000)  # large, so that an upload would show
HERE, ELSEWHERE = (X86_64, AARCH64) if os.uname().machine == "x86_64" else (AARCH64, X86_64)
GLIBC = os.uname().machine in ("x86_64", "aarch64") and "CS_GNU_LIBC_VERSION" in os.confstr_names


@dataclass(frozen=True)
class Misfit:
    name: str
    complaint: str
    program: bytes
    hint: str = ""
    run: dict[str, Any] | None = None


def made(machine: int = HERE, **needs: Any) -> bytes:
    return Made(machine, **needs).made()


MISFITS = [
    Misfit("another machine", r"^\./program is built for \w+, the server is \w+$", made(ELSEWHERE), "GOARCH="),
    Misfit("musl", "needs musl's loader /lib/ld-musl-no.so.1, wh", made(loader="/lib/ld-musl-no.so.1"), "static"),
    Misfit("another loader", "needs the loader /nix/ld-linux.so.2, wh", made(loader="/nix/ld-linux.so.2"), "static"),
    Misfit("an interpreter", "a script for /usr/bin/php99, which is not on the", b"#!/usr/bin/php99\n", "install"),
    Misfit("a name for env", "is started by env with \"php99\", which", b"#!/usr/bin/env php99\n", "install php99"),
    Misfit("text", 'is text without a "#!" line', b"<!doctype html>\n" + b"x\n" * 500, "#!/bin/sh"),
    Misfit("Windows", "is a Windows program", b"MZ", "GOOS=linux"),
    Misfit("cut short", "is cut short", made()[:-1]),
    Misfit("a program of PATH", 'run.command starts "php99", which', b"#!/bin/sh\n", "php99", {"command": ["php99"]}),
    Misfit("a path", 'starts "/opt/php99", which is not', b"#!/bin/sh\n", "install", {"command": ["/opt/php99"]}),
]  # fmt: skip
if GLIBC:
    newer = made(loader=LOADER, versions=["GLIBC_2.17", "GLIBC_2.999"])
    MISFITS.append(Misfit("newer glibc", r"needs glibc 2\.999 or newer, the server has glibc 2\.\d+$", newer, "static"))


def put(path: Path, misfit: Misfit) -> None:
    """Makes an artifact from a large directory, so that an upload would show."""
    path.mkdir(exist_ok=True)
    (path / "program").write_bytes(misfit.program)
    (path / "program").chmod(0o755)
    (path / "padding").write_bytes(PADDING)


@pytest.mark.parametrize("misfit", MISFITS, ids=lambda misfit: str(misfit.name))
@pytest.mark.row("B12")
def test_incompatible_artifact_is_refused_before_the_upload_and_leaves_nothing(app: App, misfit: Misfit) -> None:
    put(app.directory / "dist", misfit)
    app.config(build={"artifact": "dist"}, run=misfit.run or {})
    for arguments in (("--dry-run",), ()):
        refused = app.deploy(*arguments)
        assert refused.code == 3, refused
        result = judged_lines(refused)[-1]
        assert result["outcome"] == "refused"
        assert re.search(misfit.complaint, result["error"]["message"]), result["error"]
        assert misfit.hint in result["error"]["hint"]
        assert result["bytes_sent"] < len(payload(server=False)) + 5_000
    assert not app.world.root.exists()


def test_live_release_serves_on_after_an_incompatible_artifact_and_the_next_deploy_works(app: App) -> None:
    app.deploy().ok()
    before = app.status(), sorted(os.listdir(app.state / "releases"))
    for misfit in MISFITS[:2]:
        (app.directory / "program").write_bytes(misfit.program)
        assert app.deploy().code == 3
    assert (app.status(), sorted(os.listdir(app.state / "releases"))) == before
    assert app.get()["version"] == "v1"
    app.program(version="v2")
    app.deploy().ok()
    assert app.get()["version"] == "v2"


COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "from PATH": lambda python: ["python3", "program"],
    "by its path": lambda python: [python, "program"],
    "by env": lambda python: ["/usr/bin/env", "python3", "program"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_command_runs_the_release_with_a_program_of_the_server(app: App, command: Callable[[str], list[str]]) -> None:
    app.config(run={"command": command("/usr/bin/python3" if os.path.exists("/usr/bin/python3") else "python3")})
    app.deploy().ok()
    assert app.get()["version"] == "v1"


def test_command_of_the_release_without_dot_slash_is_refused_with_the_right_spelling(app: App) -> None:
    app.config(run={"command": ["program"]})
    refused = app.deploy()
    assert refused.code == 3
    assert 'write "./program"' in refused.err
