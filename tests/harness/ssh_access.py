"""A booted server, reached through the user's own `ssh` or `multipass`."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.booted_server import Server
from harness.world import wait_until
from teal.pipe.session import Session
from teal.transports import Transport, choose
from teal_host.wire.frames import PROTOCOL
from teal_host.wire.reports import StatusReport
from teal_host.wire.requests import Status

PLAIN = ("--root", "/srv/teal", "--nginx", "/usr/sbin/nginx")  # a server side of plain processes needs no setup
HOST_SOURCE = Path(__file__).parents[2] / "src/teal_host"
INSTALL = """
import pathlib, sys
sys.path.insert(0, "/root/src")
from teal_host.ground import archive
path = pathlib.Path("/usr/local/lib/teal/teal-host")
path.parent.mkdir(parents=True, exist_ok=True)
path.write_bytes(archive.pack(archive.sources()))
path.chmod(0o755)
"""


def install(server: Server, protocol: int = PROTOCOL) -> Path:
    """Installs the server side as setup does, with the server's own Python; with another protocol, another Teal's."""
    source = server.root / "root/src/teal_host"
    shutil.copytree(HOST_SOURCE, source, dirs_exist_ok=True)
    frames = source / "wire/frames.py"
    frames.write_text(frames.read_text().replace(f"\nPROTOCOL = {PROTOCOL}", f"\nPROTOCOL = {protocol}"))
    run(server, "/usr/bin/python3", "-c", INSTALL)
    return server.root / "usr/local/lib/teal/teal-host"


@dataclass(frozen=True)
class SshAccess:
    server: Server
    programs: Path  # a directory on PATH

    def config(self, *lines: str) -> Path:
        """Writes an ssh configuration that has these lines first, so that ssh prefers them."""
        own = self.programs / "ssh_config"
        own.write_text("\n".join(["Host *", *(f"    {line}" for line in lines), self.server.ssh_config.read_text()]))
        return own

    def use(self, config: Path) -> None:
        """Puts the real `ssh` on PATH, with this file as the user's configuration."""
        ssh = shutil.which("ssh", path="/usr/bin")
        write_program(self.programs / "ssh", f"#!/bin/sh\nexec {ssh} -F '{config}' \"$@\"\n")

    def at(self, user: str = "root", target: str = "") -> Transport:
        """The transport that the client would choose, with other arguments for the server side."""
        chosen = choose(target or f"ssh://{user}@{self.server.name}")
        return replace(chosen, arguments=PLAIN, greets_within_s=120)

    def ask(self, transport: Transport) -> tuple[StatusReport, int]:
        """Asks for the status. Returns the answer, and how many bytes the client sent."""
        with Session(transport) as session:
            session.send(Status("shop"))
            (answer,) = session.events()
            assert isinstance(answer, StatusReport)
            return answer, session.bytes_sent

    def user(self, name: str, sudoers: str = "") -> None:
        """Adds a user who logs in with the same key."""
        run(self.server, "useradd", "--create-home", "--shell", "/bin/bash", name)
        run(self.server, "cp", "-r", "/root/.ssh", f"/home/{name}/.ssh")
        run(self.server, "chown", "-R", f"{name}:", f"/home/{name}/.ssh")
        if sudoers:
            (self.server.root / "etc/sudoers.d" / name).write_text(f"{name} {sudoers}\n")

    def install(self) -> Path:
        return install(self.server)


def run(server: Server, *argv: str) -> str:
    done = server.run(*argv)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def ssh_access(server: Server, tmp_path: Path, patch: pytest.MonkeyPatch) -> SshAccess:
    made = SshAccess(server, tmp_path / "bin")
    made.programs.mkdir()
    made.use(server.ssh_config)
    patch.setenv("PATH", f"{made.programs}:{os.environ['PATH']}")
    return made


@contextmanager
def one_login(server: Server) -> Iterator[Path]:
    """An ssh configuration with which all commands share one connection (ssh_config(5), ControlPath), because logins
    are slow.
    """
    with tempfile.TemporaryDirectory(prefix="teal-") as short:
        config = Path(short, "config")
        config.write_text(f"Host *\n    ControlPath {short}/master\n\n{server.ssh_config.read_text()}")
        with shared_connection(["ssh", "-F", str(config), "-M", "-N", server.name], Path(short, "master")):
            yield config


@contextmanager
def shared_connection(argv: Sequence[str], socket: Path) -> Iterator[None]:
    """Keeps this ssh open for the whole block. Ended by a signal, an ssh has waited for five minutes: SIGKILL ends it
    at once, and leaves its socket.
    """
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as ssh:
        try:
            wait_until(socket.exists)
            yield
        finally:
            ssh.kill()
            socket.unlink(missing_ok=True)
