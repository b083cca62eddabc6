"""Alternating deploys and rollbacks on a booted server under every kind of client, in a short run and a long one."""

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import backend
from bench.load.place import Place
from bench.load.running import Load, Seen

import harness
from harness import Server
from harness.load_app import load_place, loaded_app
from harness.ssh_access import one_login, run
from harness.world import App, at_server

TLS_PORT = 443
ACTS = ("deploy", "rollback")
Report = Callable[[str], None]


@dataclass(frozen=True)
class SwitchGoal:
    """How many switches and how many requests there must be at least."""

    switches: int
    requests: int = 0
    per_second: float = 150
    processes: int = 1
    debian: int = 12


@dataclass(frozen=True)
class SwitchRun:
    """`colors` has the live color after each switch; `reloaded` says whether nginx has new processes."""

    colors: list[str]
    reloaded: bool
    seconds: float
    seen: Seen

    @property
    def turned(self) -> bool:
        return all(before != after for before, after in itertools.pairwise(self.colors))


@dataclass(frozen=True)
class LoadedServer:
    """A booted server with one app, under load."""

    server: Server
    app: App
    load: Load

    def seen(self) -> Seen:
        """Waits until each kind of client has sent more requests, then lets all clients finish."""
        self.load.more()
        self.load.end()
        return self.load.seen(self.server.root / "var/lib/load")


@dataclass(frozen=True)
class ReadyServer:
    """A booted server with one app that can be put under load."""

    server: Server
    app: App
    place: Place


@contextmanager
def ready_for_load(debian: int, work: Path, **config: Any) -> Iterator[ReadyServer]:
    certificate, key = backend.certificate(work)
    with harness.server(debian, work / "server", packages=["nginx", "sudo"]) as server, one_login(server) as ssh:
        for file in (certificate, key):
            shutil.copy(file, server.root / "etc/nginx")
        tls = (TLS_PORT, "/etc/nginx/load.crt", "/etc/nginx/load.key")
        app = loaded_app(at_server(work / "home", server, ssh), tls, **config)
        app.teal("setup").ok()
        app.deploy().ok()
        yield ReadyServer(server, app, load_place(app, TLS_PORT, certificate))


@contextmanager
def under_load(goal: SwitchGoal, work: Path, **config: Any) -> Iterator[LoadedServer]:
    with ready_for_load(goal.debian, work, **config) as ready:
        load = Load(ready.place, work / "out", goal.per_second, processes=goal.processes)
        try:
            load.more()
            yield LoadedServer(ready.server, ready.app, load)
        finally:
            load.end()


def run_switches(goal: SwitchGoal, work: Path, report: Report) -> SwitchRun:
    with under_load(goal, work) as loaded:
        workers = run(loaded.server, "pgrep", "nginx")
        began = time.monotonic()
        colors = _switches(loaded, goal, report)
        seen = loaded.seen()
        seconds = time.monotonic() - began
        return SwitchRun(colors, run(loaded.server, "pgrep", "nginx") != workers, seconds, seen)


def _switches(loaded: LoadedServer, goal: SwitchGoal, report: Report) -> list[str]:
    colors: list[str] = []
    load = loaded.load
    while len(colors) < goal.switches or load.asked.total() < goal.requests:
        colors.append(_switch(loaded.app, len(colors)))
        report(f"{len(colors)} switches, {load.asked.total():,} requests, {load.failed} failed")
    return colors


def _switch(app: App, number: int) -> str:
    """Deploys a new version, or rolls back to the version that still runs."""
    backend.write(app.directory / "program", f"version {number}")
    done = app.teal(ACTS[number % 2], "--json").ok().result
    assert done["outcome"] == "live", done
    return str(done["color"])
