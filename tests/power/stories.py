"""The real stories on the real file tree, in this process. Fakes that follow the links play the programs and nginx.

After a power cut no process lives, so the fakes lose what a machine would lose.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from teal_host.ground.paths import ColorPaths, HostPaths
from teal_host.ground.run import Program
from teal_host.pipe.channel import Channel
from teal_host.provisioning.local import LocalProvisioning
from teal_host.state import agreement
from teal_host.state.app import App, Host
from teal_host.state.route import Route
from teal_host.state.seams import ProcessState
from teal_host.state.slots import read_slots
from teal_host.steps import health, judgement, switch
from teal_host.steps.candidate import Candidate
from teal_host.steps.judgement import ProbeResult
from teal_host.stories import rollback, status
from teal_host.stories.deploy import deploy
from teal_host.supervisors.log_file import LogFileTail
from teal_host.wire import typed
from teal_host.wire.app import AppSpec, Site
from teal_host.wire.manifest import Manifest, Origin
from teal_host.wire.messages import Result
from teal_host.wire.reports import StatusReport
from teal_host.wire.requests import Commit, Deploy, Rollback
from teal_host.wire.uploads import Part

APP = "shop"
SPEC = {
    "app": APP,
    "site": {"http_port": 18080},
    "run": {"command": ["./program"], "ports": {"blue": 18081, "green": 18082}, "data": True},
    "health": {"successes": 1},
    "verify": {},
    "keep": {"releases": 2, "watch_s": 0, "drain_s": 0},
}


class Clock:
    """A clock that advances only while somebody waits."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        return self._now

    def thread_time(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self._now += seconds


@dataclass
class FakeProcesses:
    """A Supervisor that records which release each color runs."""

    running: dict[str, str] = field(default_factory=dict)

    def start(self, color: ColorPaths, program: Program) -> None:
        self.running[color.color] = program.cwd.name

    def stop(self, color: ColorPaths, grace_s: float) -> None:
        self.running.pop(color.color, None)

    def state(self, color: ColorPaths) -> ProcessState:
        return ProcessState("running", 1, None) if color.color in self.running else ProcessState("stopped")

    def pids(self, color: ColorPaths) -> set[int]:
        return set()

    def tail(self, colors: Sequence[ColorPaths]) -> LogFileTail:
        return LogFileTail(colors)

    def remarks(self, color: ColorPaths) -> list[str]:
        return []

    def restarts(self, color: ColorPaths) -> None:
        return None

    def enable(self, color: ColorPaths) -> None:
        return

    def is_ending(self) -> bool:
        return False

    def favor(self, live: ColorPaths | None, others: Sequence[ColorPaths]) -> None:
        return


@dataclass
class FakeNginx:
    """A Proxy that records its routes."""

    routes: dict[str, Route] = field(default_factory=dict)

    def check_site(self, site: Site) -> None:
        return

    def try_route(self, route: Route, others: Sequence[Route]) -> None:
        return

    def serve(self, route: Route, others: Sequence[Route]) -> bool:
        changed = self.routes.get(route.app) != route
        self.routes[route.app] = route
        return changed

    def remove(self, app: str, others: Sequence[Route]) -> None:
        self.routes.pop(app, None)

    def serves(self, route: Route) -> bool:
        return self.routes.get(route.app) == route

    def address(self, site: Site) -> tuple[str, int]:
        return ("127.0.0.1", site.http_port)

    def closed(self, at: object) -> None:
        return

    def url(self, route: Route) -> str:
        return f"http://127.0.0.1:{route.site.http_port}/"

    def log_of(self, app: str) -> Path:
        return Path("/nonexistent")

    def fallback_log_of(self, app: str) -> Path:
        return Path("/nonexistent/fallback")

    def quiet(self, site: Site) -> bool:
        return True


class Upload:
    """A channel whose client has already sent everything."""

    committed = False
    is_of_key = False

    def __init__(self, content: bytes) -> None:
        self._content = content

    def tell(self, message: object) -> None:
        return

    def receive(self, expected: type) -> object:
        return Commit()

    def part(self) -> Part:
        return Part(1, "plain")

    def blocks(self) -> Iterator[bytes]:
        yield self._content

    def await_commit(self) -> None:
        self.committed = True


@dataclass
class Machine:
    """One host below a root. A new Machine on the same root is the host after its power came back."""

    root: Path
    processes: FakeProcesses = field(default_factory=FakeProcesses)
    nginx: FakeNginx = field(default_factory=FakeNginx)

    @property
    def app(self) -> App:
        paths = HostPaths(self.root)
        agreeing = LocalProvisioning(paths, self.nginx)
        return Host(paths, self.processes, self.nginx, agreeing, lambda message: None).app(APP)

    def deploy(self, version: str) -> Result:
        request = Deploy(typed.decode(AppSpec, SPEC), manifest(version), Origin(), uuid.uuid4().hex)
        return deploy(self.app, request, cast(Channel, Upload(content(version))))

    def rollback(self) -> Result:
        return rollback.rollback(self.app, Rollback(APP, Origin(), uuid.uuid4().hex), cast(Channel, Upload(b"")))

    def status(self) -> StatusReport:
        return status.status(self.app)

    def live_version(self) -> str | None:
        """The version that serves: the bytes of the program to which nginx's marker leads."""
        paths = self.app.paths
        live = read_slots(paths).live
        if live is None:
            return None
        assert (paths.live / live).is_file(), "the marker that nginx asks is not there"
        return (paths.color(live).release / "program").read_text()

    @contextmanager
    def played(self) -> Iterator[None]:
        """Patches the health check and the verification to ask the fakes."""

        def probe(app: App, candidate: Candidate, answer_s: float) -> ProbeResult:
            if self.processes.running.get(candidate.color) == candidate.release:
                return ProbeResult("well", "runs")
            return ProbeResult("sick", "does not run", hopeless=True)

        def probe_through_nginx(
            app: App, candidate: Candidate, agreed: agreement.Agreement, answer_s: float
        ) -> ProbeResult:
            shown = self.nginx.serves(agreed.route(app.paths)) and read_slots(app.paths).live == candidate.color
            return ProbeResult("well" if shown else "unknown", "through nginx")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(judgement, "time", Clock())
            patch.setattr(health, "probe", probe)
            patch.setattr(health, "probe_candidate", probe)
            patch.setattr(health, "check_ports_are_free", lambda candidate: None)
            patch.setattr(switch, "probe_through_nginx", probe_through_nginx)
            patch.setattr(switch, "probe_directly", lambda candidate, answer_s: ProbeResult("well", "directly"))
            yield


def content(version: str) -> bytes:
    return version.encode()


def manifest(version: str) -> Manifest:
    sha256 = hashlib.sha256(content(version)).hexdigest()
    entry = {"path": "program", "size": len(content(version)), "sha256": sha256, "executable": True}
    whole = {"kind": "file", **entry}
    ordered = [{name: whole[name] for name in ("path", "kind", "size", "sha256", "executable")}]
    digest = hashlib.sha256(json.dumps(ordered, sort_keys=True).encode()).hexdigest()
    return typed.decode(Manifest, {"digest": digest, "entries": ordered})
