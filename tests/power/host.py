"""A whole host that lives on: commands on two apps, a kill at any act, a power cut with any disk, and the boot after
it.

With `server`, setup agrees on names and ports, and at boot systemd starts the units that are enabled, from the files
that Teal left. Without, the host is a laptop, on which nothing starts by itself.
"""

import contextlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from power.disk import Cut, Disk, lay_out, wipe
from power.recorder import Recorder
from power.stories import Clock, FakeNginx, Upload, content, manifest
from teal_host.ground import files, sockets
from teal_host.ground.errors import CannotRun
from teal_host.ground.paths import AppPaths, ColorPaths, HostPaths
from teal_host.ground.run import Program
from teal_host.pipe.channel import Channel
from teal_host.provisioning.local import LocalProvisioning
from teal_host.provisioning.server import ServerProvisioning
from teal_host.state import agreement, releases
from teal_host.state.app import App, Host
from teal_host.state.seams import ProcessState, Provisioning
from teal_host.state.slots import read_slots
from teal_host.steps import health, judgement, switch, watch
from teal_host.steps.candidate import Candidate
from teal_host.steps.judgement import ProbeResult
from teal_host.stories import deploy as deploys
from teal_host.stories import destroy, recover, rollback
from teal_host.stories import secrets as secrets_story
from teal_host.supervisors.log_file import LogFileTail
from teal_host.wire import typed
from teal_host.wire.app import AppSpec
from teal_host.wire.manifest import Origin
from teal_host.wire.messages import Result
from teal_host.wire.requests import Deploy, Destroy, EnvSet, Input, Rollback
from teal_host.wire.uploads import MissingFiles

APPS = {"shop": 18080, "blog": 18090}
KEPT = 3
COLORS = ("blue", "green")


class Killed(BaseException):
    """The command was killed in the middle."""


@dataclass
class Fuse:
    """Kills the command after so many acts on the disk or on a program. From then on, the command does nothing."""

    acts: int | None = None
    count: int = 0

    def act(self, name: str) -> None:
        self.count += 1
        self.alive()

    def alive(self) -> None:
        if self.acts is not None and self.count >= self.acts:
            raise Killed


class Client(Upload):
    """A client that sends the rest of its messages."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._begun = 0

    def tell(self, message: object) -> None:
        if isinstance(message, MissingFiles):
            self._begun = sum(begun.bytes for begun in message.begun)

    def blocks(self) -> Iterator[bytes]:
        yield self._content[self._begun :]

    def receive_with_body(self, expected: type) -> tuple[Input, bytes]:
        return Input(last=True), self._content


@dataclass
class Programs:
    """A Supervisor that records which release runs on which color of which app.

    On a server it also leaves systemd's files.
    """

    server: bool
    fuse: Fuse = field(default_factory=Fuse)
    running: dict[tuple[str, str], str] = field(default_factory=dict)

    def start(self, color: ColorPaths, program: Program) -> None:
        if self.server:
            files.write(color.start, json.dumps({"release": color.held}), mode=0o600)
        if not (program.cwd / "program").is_file():
            raise CannotRun("there is no program")
        self.running[color.app, color.color] = program.cwd.name
        self.fuse.act("start")

    def stop(self, color: ColorPaths, grace_s: float) -> None:
        if self.running.pop((color.app, color.color), None):
            self.fuse.act("stop")
        if self.server:
            files.remove(color.start)

    def state(self, color: ColorPaths) -> ProcessState:
        return ProcessState("running", 1) if (color.app, color.color) in self.running else ProcessState("stopped")

    def pids(self, color: ColorPaths) -> set[int]:
        return set()

    def tail(self, colors: Sequence[ColorPaths]) -> LogFileTail:
        return LogFileTail(colors)

    def remarks(self, color: ColorPaths) -> list[str]:
        return []

    def restarts(self, color: ColorPaths) -> None:
        return None

    def is_ending(self) -> bool:
        return False

    def enable(self, color: ColorPaths) -> None:
        link = _at_boot(color)
        if self.server and not link.is_symlink():
            files.make_dir(link.parent)
            files.turn_link(link, "../unit")

    def favor(self, live: ColorPaths | None, others: Sequence[ColorPaths]) -> None:
        if live:
            self.enable(live)
        for color in others if self.server else ():
            files.remove(_at_boot(color))


def _end_thread(report: Callable[..., object], error: threading.ExceptHookArgs) -> None:
    """A thread of a killed command just ends. pytest would report whatever ends a thread, also a SystemExit."""
    if not issubclass(error.exc_type, Killed):
        report(error)


def _at_boot(color: ColorPaths) -> Path:
    return color.home.parents[4] / "etc/systemd/system/multi-user.target.wants" / color.unit


@dataclass
class Picture:
    """One app as an outsider sees it: the link, the colors, the programs, the records."""

    live: str | None
    holds: dict[str, str | None]
    runs: dict[str, str | None]
    served: bool
    agreed: bool
    records: dict[str, dict[str, Any]]
    journal: list[dict[str, Any]]
    stored: set[str]

    @property
    def live_release(self) -> str | None:
        return self.holds[self.live] if self.live else None

    @property
    def idle(self) -> str:
        return "green" if self.live == "blue" else "blue"

    @property
    def live_runs(self) -> bool:
        return self.live is not None and self.runs[self.live] == self.live_release

    @property
    def open(self) -> list[dict[str, Any]]:
        """The journal lines of the last story, if the story has no end."""
        story: list[dict[str, Any]] = []
        for line in self.journal:
            story = [line] if line["event"] == "begin" else [] if line["event"] == "end" else [*story, line]
        return story if story and story[0]["event"] == "begin" else []


class SetUp(ServerProvisioning):
    """A server on which setup has made nothing of the machine's own: no user, no unit, no key."""

    def undo(self, app: AppPaths) -> None:
        return

    def owns_data(self, app: AppPaths) -> bool:
        return True

    def end_processes(self, app: AppPaths) -> None:
        return

    def remove_user(self, app: AppPaths) -> None:
        return

    def remove_server_side(self) -> None:
        return


class LastingHost:
    """`home` is the host's own directory, in memory if possible."""

    def __init__(self, home: Path, server: bool, previous_running: bool) -> None:
        self._home, self._number = home, 0
        self.server, self.previous_running = server, previous_running
        self.disk = Disk(home / "0")
        self.disk.root.mkdir()
        self.programs, self.nginx = Programs(server), FakeNginx()
        self.dies = False  # the program of the next watch

    @property
    def root(self) -> Path:
        return self.disk.root / "host"

    def app(self, name: str) -> App:
        paths = HostPaths(self.root)
        agreeing: Provisioning = (SetUp if self.server else LocalProvisioning)(paths, self.nginx)
        return Host(paths, self.programs, self.nginx, agreeing, lambda message: None).app(name)

    # the commands

    def deploy(self, name: str, version: str, story: str, fuse: Fuse) -> Result:
        request = Deploy(self.spec(name), manifest(version), Origin(), story)
        with self._at_work(fuse):
            return deploys.deploy(self.app(name), request, cast(Channel, Client(content(version))))

    def rollback(self, name: str, release: str | None, story: str, fuse: Fuse) -> Result:
        with self._at_work(fuse):
            return rollback.rollback(
                self.app(name), Rollback(name, Origin(), story, release), cast(Channel, Client(b""))
            )

    def set_secret(self, name: str, fuse: Fuse) -> None:
        request = EnvSet(name, "TOKEN", Origin())
        with self._at_work(fuse):
            secrets_story.set_secret(self.app(name), request, cast(Channel, Client(b"a secret")))

    def destroy(self, name: str, fuse: Fuse) -> None:
        with self._at_work(fuse):
            destroy.destroy(self.app(name), Destroy(name, Origin()))

    def set_up(self, name: str) -> None:
        """Does what an administrator does before the first deploy on a server, and after a destroy."""
        app = self.app(name)
        with self._at_work(Fuse()):
            if self.server and not (app.paths.agreed.exists() and name in self.nginx.routes):
                agreed = agreement.propose(app.host.paths, self.spec(name), None)
                agreement.save(app.paths, agreed)
                self.nginx.serve(agreed.route(app.paths), ())

    # the events

    def lose_power(self, cut: Cut) -> None:
        self._number += 1
        fresh = self._home / str(self._number)
        lay_out(self.disk, cut, fresh)
        wipe(self.disk.root)
        self.disk = Disk.found(fresh)
        self.end_all()

    def shut_down(self) -> None:
        """Shuts the machine down in good order: everything written is on the disk."""
        self.disk = Disk.found(self.disk.root)
        self.end_all()

    def end_all(self) -> None:
        """Ends all programs. On a server, nginx keeps its routes in files; a laptop's nginx does not start again."""
        self.programs.running.clear()
        self.nginx.routes.clear()

    def boot(self) -> None:
        """Does what systemd and nginx do by themselves at boot."""
        for name in APPS if self.server else ():
            app = self.app(name)
            agreed = agreement.load(app.paths)
            if agreed:
                self.nginx.routes[name] = agreed.route(app.paths)
            for place in app.paths.colors:
                if _at_boot(place).is_symlink() and place.start.exists():
                    release = json.loads(place.start.read_text())["release"]
                    if (app.paths.release(release) / "program").is_file():
                        self.programs.running[name, place.color] = release

    def recover(self, name: str, fuse: Fuse) -> None:
        """Runs the unit that recovers after a boot."""
        with self._at_work(fuse):
            recover.at_boot(self.app(name))

    # the state

    def picture(self, name: str) -> Picture:
        paths = self.app(name).paths
        link = paths.live
        route = self.nginx.routes.get(name)
        stored = {path.name for path in paths.releases.glob("[0-9]*")}
        return Picture(
            link.readlink().name if link.is_symlink() else None,
            {color: _target(paths.home / color / "release") for color in COLORS},
            {color: self.programs.running.get((name, color)) for color in COLORS},
            route is not None and route.live == paths.live,
            paths.agreed.exists(),
            {path.stem: json.loads(path.read_text()) for path in paths.records.glob("*.json")},
            list(_lines(paths.journal)),
            stored,
        )

    def nginx_asks(self, name: str) -> str:
        """The color that nginx serves, by the file test in its configuration."""
        return "green" if (self.app(name).paths.live / "green").is_file() else "blue"

    def version(self, name: str, release: str) -> str:
        return (self.app(name).paths.release(release) / "program").read_text()

    def tree(self) -> dict[str, tuple[int, int]]:
        """Every name in the tree, with what changes when the name is written again.

        Not the locks, and not the marks of a watch that the power cut ended: any command removes these.
        """
        infos = {path: path.lstat() for path in self.disk.root.rglob("*") if path.name not in ("lock", ".lock")}
        infos = {path: info for path, info in infos.items() if not path.name.startswith("watched-")}
        return {str(path): (info.st_ino, info.st_mtime_ns) for path, info in infos.items() if not path.is_dir()}

    def spec(self, name: str) -> AppSpec:
        port = APPS[name]
        ports = {"blue": port + 1, "green": port + 2}
        spec = {
            "app": name,
            "site": {"http_port": port},
            "run": {"command": ["./program"], "ports": ports, "data": True},
            "health": {"successes": 1, "deadline_s": 0.5},
            "verify": {},
            "keep": {"releases": KEPT, "watch_s": 1, "drain_s": 0, "previous_running": self.previous_running},
        }
        return typed.decode(AppSpec, spec)

    def close(self) -> None:
        wipe(self.disk.root)
        shutil.rmtree(self._home)
        releases._READ.clear()

    # the helpers

    @contextlib.contextmanager
    def _at_work(self, fuse: Fuse) -> Iterator[None]:
        self.programs.fuse = fuse
        with self._played(), Recorder(self.disk, fuse.act, fuse.alive).listening():
            yield

    @contextlib.contextmanager
    def _played(self) -> Iterator[None]:
        clock = Clock()
        plays: list[tuple[Any, str, Any]] = [(module, "time", clock) for module in (judgement, watch)]
        plays += [(health, "probe", self._probe), (health, "probe_candidate", self._probe_candidate)]
        plays += [(switch, "probe_through_nginx", self._probe_through_nginx)]
        plays += [(switch, "probe_directly", lambda candidate, answer_s: ProbeResult("well", "directly"))]
        plays += [(health, "check_ports_are_free", _nothing)]
        plays += [(sockets, "connections", lambda port: 0), (sockets, "listeners", lambda port=None: [])]
        plays += [(threading, "excepthook", partial(_end_thread, threading.excepthook))]
        with pytest.MonkeyPatch.context() as patch:
            for module, name, played in plays:
                patch.setattr(module, name, played)
            yield

    def _probe(self, app: App, candidate: Candidate, answer_s: float) -> ProbeResult:
        if self.programs.running.get((app.name, candidate.color)) != candidate.release:
            return ProbeResult("sick", "does not run", hopeless=True)
        if self.version(app.name, candidate.release).startswith("sick"):
            return ProbeResult("sick", "answers 500")
        return ProbeResult("well", "answers 200")

    def _probe_candidate(self, app: App, chosen: Candidate, timeout_s: float) -> ProbeResult:
        if self.dies and read_slots(app.paths).live == chosen.color:
            self.programs.running.pop((app.name, chosen.color), None)
        return self._probe(app, chosen, timeout_s)

    def _probe_through_nginx(
        self, app: App, candidate: Candidate, agreed: agreement.Agreement, answer_s: float
    ) -> ProbeResult:
        runs = self.programs.running.get((app.name, candidate.color)) == candidate.release
        if not self.nginx.serves(agreed.route(app.paths)) or self.nginx_asks(app.name) != candidate.color:
            return ProbeResult("unknown", "nginx asks another")
        if not runs or self.version(app.name, candidate.release).startswith("lies"):
            return ProbeResult("sick", "through nginx it does not answer as it should")
        return ProbeResult("well", "verified")


def _nothing(*ignored: Any) -> bool:
    return False


def _target(link: Path) -> str | None:
    return link.readlink().name if link.is_symlink() else None


def _lines(journal: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file, without a line that a cut has torn."""
    for line in journal.read_bytes().splitlines() if journal.exists() else ():
        with contextlib.suppress(ValueError):
            yield json.loads(line)
