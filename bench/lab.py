"""A booted server behind a wire. Everything that is measured passes the wire between this machine and the server."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.link import REPO, Counted, Link, wire
from bench.program import Program

sys.path.insert(0, str(REPO / "tests"))

import harness
from harness import Server

PACKAGES = ("nginx", "sudo", "rsync", "zstd")
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True)
class Took:
    """One run and its output.

    `live_s` is the time until the new version answered outside; None if nothing becomes live.
    """

    counted: Counted
    ended_s: float
    live_s: float | None = None
    output: str = ""


class Failed(Exception):
    """A command of a peer failed. The error has the last words of the command."""


@dataclass
class Lab:
    """`env` is the environment of commands, with an `ssh` and an `scp` that go over the wire."""

    server: Server
    work: Path
    program: Program
    env: dict[str, str] = field(default_factory=dict)
    port: int = 0

    @property
    def host(self) -> str:
        return self.server.name

    @contextmanager
    def over(self, link: Link) -> Iterator["Line"]:
        """Sends everything over such a wire until the end of the block."""
        with wire(link, self.server.address, 22) as near:
            self.port = near.port
            self._write_programs()
            yield Line(self, near.counted)

    def run(self, argv: Sequence[str], cwd: Path | None = None) -> str:
        """Runs the command to its end. Raises Failed."""
        done = subprocess.run(
            argv,
            cwd=cwd or self.work,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failed(f"{' '.join(argv[:4])} … ended with {done.returncode}:\n{(done.stdout + done.stderr)[-1500:]}")
        return done.stdout

    def on_server(self, *argv: str) -> str:
        """Runs the command on the server, beside the wire."""
        done = self.server.run(*argv, deadline_s=300)
        if done.returncode:
            raise Failed(f"on the server: {' '.join(argv)}: {done.stderr[-500:]}")
        return done.stdout

    def _write_programs(self) -> None:
        """Writes `ssh` and `scp` with the server's configuration, where the address is the near end of the wire."""
        known = self.work / "known_hosts"
        key = (self.server.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
        known.write_text(f"{self.host} {key}[127.0.0.1]:{self.port} {key}")
        own = self.server.ssh_config.read_text()
        own = own.replace(f"HostName {self.server.address}", f"HostName 127.0.0.1\n    HostKeyAlias {self.host}")
        own = own.replace("Port 22", f"Port {self.port}")
        own = own.replace(
            f'UserKnownHostsFile "{self.server.directory / "known_hosts"}"', f'UserKnownHostsFile "{known}"'
        )
        config = self.work / "ssh_config"
        config.write_text(own)
        for name in ("ssh", "scp"):
            wrapper = self.work / "bin" / name
            wrapper.parent.mkdir(exist_ok=True)
            wrapper.write_text(f"#!/bin/sh\nexec {shutil.which(name, path='/usr/bin:/bin')} -F '{config}' \"$@\"\n")
            wrapper.chmod(0o755)
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("TEAL_", "XDG_", "PYTHON"))
        }
        self.env = {
            **inherited,
            "PATH": f"{self.work / 'bin'}:{os.environ['PATH']}",
            "XDG_STATE_HOME": str(self.work / "state"),
            "XDG_CACHE_HOME": str(self.work / "cache"),
            "PYTHONPATH": str(REPO / "src"),
            "CI": "true",  # no person can answer a question
        }


@dataclass
class Line:
    """The current wire."""

    lab: Lab
    _counted: "object"

    def counted(self) -> Counted:
        assert callable(self._counted)
        count = self._counted()
        assert isinstance(count, Counted)
        return count

    def measure(self, argv: Sequence[str], cwd: Path | None = None, awaited: "Awaited | None" = None) -> Took:
        """Runs the command.

        Returns the bytes that it sent, its duration, and the time when the awaited version answered.
        """
        self.counted()
        if awaited:
            awaited.begin()
        began = time.monotonic()
        output = self.lab.run(argv, cwd)
        ended = time.monotonic() - began
        live = awaited.came() - began if awaited else None
        return Took(self.counted(), ended, live, output)


class Awaited:
    """Looks for the first answer of a version from outside, beside the wire."""

    def __init__(self, address: str, port: int, version: str) -> None:
        self._address = (address, port)
        self._wanted = f'"{version}"'.encode()
        self._seen: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def came(self, deadline_s: float = 10) -> float:
        """The time of the first answer. Raises Failed if no answer comes."""
        self._thread.join(deadline_s)
        self._stop.set()
        if self._seen is None:
            raise Failed(f"{self._wanted.decode()} does not answer on port {self._address[1]}")
        return self._seen

    def _look(self) -> None:
        while not self._stop.is_set():
            asked = time.monotonic()
            if self._wanted in _ask(self._address):
                self._seen = asked
                return
            time.sleep(_LOOK_EVERY_S)


def _ask(address: tuple[str, int]) -> bytes:
    try:
        with socket.create_connection(address, timeout=5) as line:
            line.sendall(b"GET /version HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := line.recv(4096):
                answer += piece
            return answer
    except OSError:
        return b""


@contextmanager
def lab(work: Path, debian: int = 12) -> Iterator[Lab]:
    """Yields the lab. Ends the program with one line if this machine can boot no server."""
    if reason := harness.why_not():
        raise SystemExit(reason)
    with harness.server(debian, work / "server", packages=PACKAGES) as booted:
        yield Lab(booted, work, Program(work))


def teal(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "teal", *arguments]


def result(output: str) -> dict[str, object]:
    """Returns the last line of JSON in the output."""
    members = json.loads(output.strip().splitlines()[-1])
    assert isinstance(members, dict)
    return members
