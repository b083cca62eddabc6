"""Two apps on one booted server, each with a deploy key, as CI uses the key and as a thief would use the key."""

import hashlib
import io
import json
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.booted_server import ENV, Server, make_key
from harness.listing import listing
from harness.ssh_access import shared_connection
from harness.world import App, World, at_server
from teal.config import load
from teal_host.wire import messages, requests
from teal_host.wire.app import AppSpec
from teal_host.wire.frames import read_frame, write_frame
from teal_host.wire.manifest import Entry, Manifest, Origin, digest_of
from teal_host.wire.sources import CALLS

TEAL_HOST = "/usr/local/lib/teal/teal-host"
SHELL = b"id; touch /tmp/pwned; cat /etc/shadow\n"  # a thief types this text into whatever reads the input
# the test compares these files once, at the end of the module
NEVER_WRITTEN = ("/usr/bin", "/usr/lib", "/usr/sbin", "/usr/share", "/var/lib/dpkg")
SYNC = b"\nTEAL-HOST-1\n"
Answer = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class KeyedServer:
    """`app_one` and `app_two` are the apps, as their admin has them. The key files carry the names `one` and `two`."""

    server: Server
    admin: World
    app_one: App
    app_two: App

    def key(self, name: str = "one") -> Path:
        return self.server.directory / f"{name}.key"

    def config(self, name: str = "one") -> Path:
        """The configuration of an ssh that has this key and no other."""
        path = self.server.directory / f"{name}.ssh_config"
        text = self.server.ssh_config.read_text().replace(self._own, self._of(name))
        if not path.exists() or path.read_text() != text:  # other attempts read the file at the same time
            beside = path.with_name(f"{name}.{threading.get_ident()}")
            beside.write_text(text)
            beside.rename(path)
        return path

    @property
    def _own(self) -> str:
        return f'IdentityFile "{self.server.directory / "key"}"'

    def _of(self, name: str) -> str:
        return f'IdentityFile "{self.key(name)}"'

    def ssh_argv(self, *arguments: str, key: str = "one") -> list[str]:
        """The argv of ssh: options, then `--`, then the command."""
        given = list(arguments)
        words = given.index("--") if "--" in given else len(given)
        options, command = given[:words], given[words:]
        return ["ssh", "-F", str(self.config(key)), "-l", "teal", *options, self.server.name, *command]

    def ssh(
        self, *arguments: str, key: str = "one", stdin: bytes = b"", **env: str
    ) -> "subprocess.CompletedProcess[bytes]":
        argv = ["env", *(f"{name}={value}" for name, value in env.items()), *self.ssh_argv(*arguments, key=key)]
        return subprocess.run(argv, input=stdin, capture_output=True, timeout=180, check=False)

    def replies_to(self, *sent: bytes, key: str = "one") -> list[Answer]:
        """Sends these bytes, and returns every message of the server side after its greeting."""
        output = self.ssh("-S", str(self._line(key)), "--", CALLS, key=key, stdin=b"".join(sent)).stdout
        assert output.startswith(SYNC), output[:200]
        return list(answers(output[len(SYNC) :]))[1:]

    @contextmanager
    def line(self, key: str = "one") -> Iterator[None]:
        """Keeps one connection open for the whole block. For each request, sshd starts the bound command of the key."""
        argv = self.ssh_argv("-M", "-N", "-S", str(self._line(key)), key=key)
        with shared_connection(argv, self._line(key)):
            yield

    def _line(self, key: str) -> Path:
        return self.server.directory / f"{key}.line"

    @contextmanager
    def open(self, *options: str, key: str = "one") -> Iterator["subprocess.Popen[bytes]"]:
        """A connection after the greeting, on which the client has sent nothing yet."""
        pipe = subprocess.PIPE
        with subprocess.Popen(
            self.ssh_argv(*options, "--", CALLS, key=key), stdin=pipe, stdout=pipe, stderr=pipe
        ) as ssh:
            try:
                assert ssh.stdout
                assert ssh.stdout.read(len(SYNC)) == SYNC
                read_frame(ssh.stdout)
                yield ssh
            finally:
                ssh.kill()

    def as_teal(self, *argv: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Runs a command as the user of deploy keys, as if a thief had found a way to a shell."""
        inside = ["nsenter", f"--target={self.server.leader()}", "--all", "--", *ENV, "runuser", "-u", "teal", "--"]
        return subprocess.run(
            [*inside, *argv],
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=180,
            check=False,
        )

    def spec(self, app: str = "one") -> AppSpec:
        return load({"one": self.app_one, "two": self.app_two}[app].directory).config.spec

    def audit(self, app: str = "one") -> list[dict[str, Any]]:
        path = self.server.root / f"var/lib/teal/{app}/audit"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def fingerprint(self, name: str = "one") -> str:
        printed = subprocess.run(
            ["ssh-keygen", "-lf", f"{self.key(name)}.pub"], capture_output=True, text=True, check=True
        )
        return printed.stdout.split()[1]

    def files(self) -> dict[str, str]:
        """Every file that a thief could want to change. The audit and the notes in the locks change legitimately."""
        mine = [f"/var/lib/teal/{path}" for path in ("one/audit", "one/lock", "two/lock", ".lock")]
        return listing(self.server.root, (*NEVER_WRITTEN, *mine))

    def in_tmp(self) -> set[str]:
        return {path.name for folder in ("tmp", "var/tmp") for path in (self.server.root / folder).iterdir()}

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        before, leftovers = self.files(), self.in_tmp()
        yield
        after = self.files()
        assert [path for path in before | after if before.get(path) != after.get(path)] == []
        assert self.in_tmp() == leftovers

    def ci(self, name: str = "one") -> World:
        """A world as in CI: the key, no terminal, and no home of a person."""
        return at_server(self.server.directory / f"ci-{name}", self.server, self.config(name), user="teal")


def keyed_server(server: Server, login: Path) -> KeyedServer:
    """Both apps, deployed once by their admin, who has this login."""
    admin = at_server(server.directory / "admin", server, login)
    app_one, app_two = (_app(admin, name) for name in ("one", "two"))
    made = KeyedServer(server, admin, app_one, app_two)
    for app in (app_one, app_two):
        make_key(made.key(app.name), f"ci of {app.name}")
        app.teal("setup", "--deploy-key", f"{made.key(app.name)}.pub").ok()
        app.deploy().ok()
    return made


def _app(admin: World, name: str) -> App:
    app = admin.app(name)
    app.config(server={"domains": [f"{name}.test"]}, run={"data": True, "env": {"SECRET": f"of-{name}"}})
    return app


def at_once(attempts: "Mapping[str, Callable[[], T]]") -> "dict[str, T]":
    """Runs all attempts, four at a time."""
    with ThreadPoolExecutor(4) as pool:
        futures = {name: pool.submit(attempt) for name, attempt in attempts.items()}
        return {name: attempt.result() for name, attempt in futures.items()}


def answers(output: bytes) -> Iterator[Answer]:
    stream = io.BytesIO(output)
    while (frame := read_frame(stream)) is not None:
        yield frame.header


def frame(message: Any, body: bytes = b"") -> bytes:
    """A frame with a message, or with any dictionary as its header."""
    made = io.BytesIO()
    write_frame(made, message if isinstance(message, dict) else messages.to_header(message), body)
    return made.getvalue()


def raw(header: bytes, body: bytes = b"", lengths: "tuple[int, int] | None" = None) -> bytes:
    return struct.pack(">II", *(lengths or (len(header), len(body)))) + header + body


ORIGIN = Origin("thief", "elsewhere")


def deploy(spec: AppSpec, content: bytes, identity: str) -> requests.Deploy:
    """A deploy of an artifact that has one file."""
    entry = Entry("program", "file", len(content), hashlib.sha256(content).hexdigest(), executable=True)
    return requests.Deploy(spec, Manifest(digest_of((entry,)), (entry,)), ORIGIN, identity, wait_s=30)
