"""One test's own world: a state root, apps, the real `teal` and a real nginx. Nothing of the world stays."""

import atexit
import contextlib
import functools
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.forks import Command, forks
from teal_host.ground import processes

PROGRAM = Path(__file__).parents[1] / "apps/program.py"
REPO = Path(__file__).parents[2]
# All tests share it, or each would compile the standard library.
GO_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "go-build"
PATIENCE_S = 120.0  # far more than a wait takes, even on a busy machine
PORTS, RANGES = 1_000, 22  # 10,000 to 31,999
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """The last JSON line of the output."""
        value = json.loads(self.out.strip().splitlines()[-1])
        assert isinstance(value, dict)
        return value

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def ok(self) -> "Ended":
        assert self.code == 0, f"exit {self.code}\n{self.out}\n{self.err}"
        return self


@dataclass
class World:
    """The apps live at `target` and answer at `address`. `interpreter` runs their program; `path` precedes PATH."""

    home: Path
    apps: "list[App]" = field(default_factory=list)
    target: str = "local"
    address: str = "127.0.0.1"
    interpreter: str = sys.executable
    path: str = ""

    @property
    def root(self) -> Path:
        return self.home / "state/teal"

    @property
    def env(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TEAL_", "XDG_"))}
        path = f"{self.path}:{os.environ['PATH']}" if self.path else os.environ["PATH"]
        homes = {"XDG_STATE_HOME": str(self.home / "state"), "XDG_CACHE_HOME": str(self.home / "cache")}
        homes["GOCACHE"] = os.environ.get("GOCACHE") or str(GO_CACHE)
        return {**inherited, **homes, "PYTHONPATH": str(REPO / "src"), "PATH": path}

    def line_is_slow(self) -> None:
        """Makes the client believe that the line to this machine is slow."""
        known = self.home / "cache/teal/speeds.json"
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(json.dumps({"local": 125_000}))

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "teal", *arguments]

    def teal(
        self, *arguments: str, cwd: Path | None = None, deadline_s: float = 240, stdin: str = "", **env: str
    ) -> Ended:
        command = Command(arguments, str(cwd or self.home), {**self.env, **env}, stdin)
        forked = forks(REPO / "src")
        done = forked.run(command, deadline_s) if forked.take(command) else self._started(command, deadline_s)
        assert "Traceback" not in _words_of_teal(arguments, done), done.stdout + done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    def _started(self, command: Command, deadline_s: float) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.argv(*command.arguments),
            cwd=command.directory,
            env=command.env,
            input=command.text,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )

    def start(self, *arguments: str, cwd: Path) -> "subprocess.Popen[str]":
        """Starts a command that runs beside the test. The caller waits for it."""
        return subprocess.Popen(
            self.argv(*arguments),
            cwd=cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def app(self, name: str = "shop", **config: Any) -> "App":
        app = App(self, name, self.home / name, free_ports(3) if self.target == "local" else (80, 0, 0))
        app.directory.mkdir(parents=True)
        app.config(**config)
        app.program(version="v1")
        self.apps.append(app)
        return app

    def processes(self) -> list[int]:
        """The processes of this world: apps by their environment, nginx by its command line."""
        return [pid for pid in _all_pids() if _belongs(pid, str(self.root))]

    def nginx_processes(self) -> set[int]:
        """nginx with its workers, whose command line does not name the world."""
        try:
            leader = int((self.root / "etc/nginx/nginx.pid").read_text())
        except (OSError, ValueError):
            return set()
        return {pid for pid in processes.session(leader) if processes.name_of(pid) == "nginx"}

    def end(self) -> None:
        """Ends the processes and removes the state, without a destroy for each app, which takes half a second."""
        wait_until(lambda: not self._kill())
        shutil.rmtree(self.root, ignore_errors=True)

    def _kill(self) -> set[int]:
        """Kills what still runs. A process may have started another meanwhile, so the caller repeats this."""
        running = {*self.processes(), *self.nginx_processes()}
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return running


@dataclass
class App:
    """One app of the world. `ports` has the HTTP port and the ports of blue and green."""

    world: World
    name: str
    directory: Path
    ports: tuple[int, ...]

    def config(self, **changes: Any) -> None:
        """Writes teal.toml: quick settings, and changes given as section=dict(...)."""
        sections: dict[str, dict[str, Any]] = {
            "build": {"artifact": "program"},
            "server": {"target": self.world.target, "http_port": self.ports[0]},
            "run": {"command": ["./program"], "ports": self._colors},
            "health": {"json": {"message": "ok"}, "deadline_s": 30, "successes": 2},
            "verify": {"path": "/", "json": {"color": "{color}"}},
            "keep": {"watch_s": 0, "drain_s": 0},
        }
        for section, values in changes.items():
            sections[section] = {**sections.get(section, {}), **values}
        for section, values in sections.items():
            sections[section] = {key: value for key, value in values.items() if value is not None}
        body = [f'app = "{self.name}"', *(f"[{name}]\n{_pairs(values)}" for name, values in sections.items())]
        (self.directory / "teal.toml").write_text("\n".join(body) + "\n")

    @property
    def _colors(self) -> dict[str, int] | None:
        """The ports of the colors. On a booted server the app takes any free pair."""
        return {"blue": self.ports[1], "green": self.ports[2]} if self.ports[1] else None

    def program(self, **behaviour: Any) -> None:
        """Writes the next version of the program. tests/apps/program.py lists what it can do wrong."""
        text = f"#!{self.world.interpreter}\nBEHAVIOUR = {behaviour!r}\n{PROGRAM.read_text()}"
        path = self.directory / "program"
        path.write_text(text)
        path.chmod(0o755)

    def teal(self, *arguments: str, **more: Any) -> Ended:
        return self.world.teal(*arguments, cwd=self.directory, **more)

    def deploy(self, *arguments: str, **more: Any) -> Ended:
        return self.teal("deploy", "--json", *arguments, **more)

    def deploy_versions(self, *versions: str, **config: Any) -> list[str]:
        """Deploys these versions of the program. Returns the names of their releases."""
        self.config(**config)
        names = []
        for version in versions:
            self.program(version=version)
            names.append(self.deploy().ok().result["release"])
        return names

    def status(self) -> dict[str, Any]:
        return self.teal("status", "--json").ok().result

    def releases(self) -> list[dict[str, Any]]:
        """The releases, newest first."""
        rows = self.teal("releases", "--json").ok().result["releases"]
        assert isinstance(rows, list)
        return rows

    def get(self, path: str = "/", host: str | None = None) -> Any:
        """The answer through nginx, as JSON."""
        return json.loads(self.get_raw(path, host))

    def get_raw(self, path: str = "/", host: str | None = None) -> bytes:
        url = f"http://{self.world.address}:{self.ports[0]}{path}"
        with straight(url, headers={"Host": host} if host else {}) as answer:
            body = answer.read()
            assert isinstance(body, bytes)
            return body

    @property
    def state(self) -> Path:
        return self.world.root / "var/lib/teal" / self.name


def _words_of_teal(arguments: tuple[str, ...], done: "subprocess.CompletedProcess[str]") -> str:
    """`teal logs` and `teal exec` print what a program said: a traceback there is the program's own."""
    return done.stderr if arguments[:1] in {("logs",), ("exec",)} else done.stdout + done.stderr


def at_server(home: Path, server: Any, config: Path | None = None, user: str = "") -> World:
    """A world whose apps live on a booted server, reached by the real ssh with the server's own configuration."""
    programs = home / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    wrapper = programs / "ssh"
    wrapper.write_text(
        f"#!/bin/sh\nexec {shutil.which('ssh', path='/usr/bin')} -F '{config or server.ssh_config}' \"$@\"\n"
    )
    wrapper.chmod(0o755)
    target = f"ssh://{user}@{server.name}" if user else f"ssh://{server.name}"
    return World(home, [], target, server.address, "/usr/bin/python3", str(programs))


def straight(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
    """The answer, without any proxy of this machine."""
    return _OPENER.open(urllib.request.Request(url, body, headers or {}), timeout=PATIENCE_S)


def free_ports(count: int) -> tuple[int, ...]:
    """Returns ports that nobody listens on, outside the kernel's range for outgoing connections.

    Each process that runs tests has its own range, so that no two ever choose the same port.
    """
    first, number = _port_range()
    ports: list[int] = []
    while len(ports) < count:
        candidate = first + next(number) % PORTS
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", candidate)) != 0:
                ports.append(candidate)
    return tuple(ports)


@functools.cache
def _port_range() -> tuple[int, Iterator[int]]:
    """The first port of this process, and numbers."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for index in (*range(worker, RANGES), *range(min(worker, RANGES))):
        name = socket.socket(socket.AF_UNIX)
        if takes(name, f"teal-tests-ports-{index}"):
            atexit.register(name.close)  # keeps the name until then
            return 10_000 + PORTS * index, itertools.count(os.getpid() * 7)
        name.close()
    raise AssertionError(f"{RANGES} other processes run tests of Teal on this machine")


def takes(socket_: socket.socket, name: str) -> bool:
    """Whether nobody on this network has this abstract name. From then on the socket has it until it is closed."""
    try:
        socket_.bind(f"\0{name}")
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], deadline_s: float = PATIENCE_S, pause_s: float = 0.02) -> None:
    """Waits until the condition is true. A condition that takes a login to check gets a longer pause."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(pause_s)


@contextmanager
def world(home: Path) -> Iterator[World]:
    made = World(home)
    try:
        yield made
    finally:
        made.end()


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def status_of(url: str) -> int:
    try:
        with straight(url) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def _pairs(values: dict[str, Any]) -> str:
    return "\n".join(f"{key} = {_value(value)}" for key, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value)


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _belongs(pid: int, root: str) -> bool:
    try:
        env = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if any(item.startswith(f"TEAL_SLOT={root}".encode()) for item in env):
            return True
        return root in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace") and pid != os.getpid()
    except OSError:
        return False
