"""Three apps and somebody else's site on one server: many deploys under load, and no app disturbs another."""

import os
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import harness
from harness import Server
from harness.ssh_access import one_login, run
from harness.tiny import tiny, tiny_app, write_tiny
from harness.visitors import app_site, static_site, visitors
from harness.world import App, World, at_server

DEPLOYS = int(os.environ.get("TEAL_TEST_DEPLOYS", "30"))
FEWER = DEPLOYS // 4  # on the second Debian
PAGE = random.Random(3).randbytes(20_000)
FOREIGN = """\
server {
    listen 80;
    server_name foreign.test;
    root /srv/foreign;
}
"""
HOSTS = {"a": "a.test", "b": "b.test", "c": "whoever.test"}
QUICK = {"keep": {"drain_s": 1, "releases": 3}}  # longer than any answer takes


@pytest.mark.row("D1", "D2", "F6", "G5")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("debian", "deploys"), [(12, DEPLOYS), (13, FEWER)], ids=["debian12", "debian13"])
def test_deploys_of_three_apps_lose_no_request_of_any_site(
    tmp_path: Path, debian: int, deploys: int, counted: Callable[..., None]
) -> None:
    with harness.server(debian, tmp_path, packages=["nginx", "sudo"]) as server, one_login(server) as config:
        apps = three_apps(at_server(tmp_path / "home", server, config), server)
        nginx = workers(server)
        sites = [*(app_site(HOSTS[app.name], app.name) for app in apps), static_site("foreign.test", "/page", PAGE)]
        with visitors(server, sites) as seen:
            first, *others = [Lane(server, app) for app in apps]
            alone(first, others)
            acts = at_once([first, *others], deploys)
            seen.wait_for_requests()
        counted(**acts, requests=seen.tally.asked.total(), lost=seen.tally.lost)
        assert seen.tally.lost == 0, seen.tally.failures
        assert workers(server) == nginx
        assert all(lane.undisturbed() for lane in (first, *others))
        assert acts["deploy"] + acts["refused"] == deploys
        for app in apps:
            check_room(server, app)


def three_apps(world: World, server: Server) -> list[App]:
    """Two apps with names and one as the default site, beside a foreign site. Each app has a first release."""
    (server.root / "srv/foreign").mkdir()
    (server.root / "srv/foreign/page").write_bytes(PAGE)
    (server.root / "etc/nginx/conf.d/foreign.conf").write_text(FOREIGN)
    run(server, "systemctl", "reload", "nginx")
    apps = [tiny_app(world, name, [] if name == "c" else [host], **QUICK) for name, host in HOSTS.items()]
    for app in apps:
        app.teal("setup").ok()
        app.deploy().ok()
    return apps


def check_room(server: Server, app: App) -> None:
    """Checks that the server holds the good releases to keep, what a color holds, and nothing half removed."""
    releases = server.root / f"var/lib/teal/{app.name}/releases"
    stored = {path.name: sum(file.stat().st_size for file in path.iterdir()) for path in releases.iterdir()}
    assert len(stored) <= QUICK["keep"]["releases"] + 2, stored
    assert not [name for name in stored if name.startswith(".")]
    assert sum(stored.values()) < len(stored) * (len(tiny()) + 100)


class Lane:
    """The commands on one app, and whether anything else ever happened to the app."""

    def __init__(self, server: Server, app: App) -> None:
        self.app = app
        self.done: Counter[str] = Counter()
        self._server = server
        self._choice = random.Random(app.name)
        self._left = self._processes()

    def acts(self, deploys: int) -> None:
        """Runs so many deploys, some of them refused, with a rollback now and then."""
        for _ in range(deploys):
            refused = self._choice.random() < 0.15
            self._act(self._refused if refused else self._deploy)
            if not refused and self._choice.random() < 0.25:
                self._act(self._rollback)

    def undisturbed(self) -> bool:
        return self._processes() == self._left

    def _act(self, act: Callable[[], None]) -> None:
        assert self.undisturbed(), f"somebody else touched {self.app.name}"
        act()
        self.done[act.__name__.strip("_")] += 1
        self._left = self._processes()

    def _deploy(self) -> None:
        before = self._live()
        write_tiny(self.app, f"version {self.done.total()}")
        done = self.app.deploy("--wait", "60").ok().result
        assert (done["outcome"], done["color"], self._live()) == ("live", done["color"], done["color"])
        assert done["color"] != before

    def _rollback(self) -> None:
        before = self._live()
        done = self.app.teal("rollback", "--json").ok().result
        assert (done["outcome"], self._live()) == ("live", done["color"])
        assert done["color"] != before

    def _refused(self) -> None:
        """Deploys a program that prints its usage and exits with 2."""
        before = self._live()
        text = (self.app.directory / "teal.toml").read_text()
        (self.app.directory / "teal.toml").write_text(text.replace('"{port}", ', ""))
        done = self.app.deploy()
        (self.app.directory / "teal.toml").write_text(text)
        assert (done.code, done.result["outcome"], self._live()) == (6, "unhealthy", before), done
        assert "exited with code 2" in done.result["error"]["message"]

    def _live(self) -> str:
        return (self._server.root / f"var/lib/teal/{self.app.name}/live").readlink().name

    def _processes(self) -> str:
        units = [f"teal-{self.app.name}@{color}.service" for color in ("blue", "green")]
        return run(self._server, "systemctl", "show", "--property=MainPID,InvocationID,NRestarts", *units)


def alone(lane: Lane, others: list[Lane]) -> None:
    """Checks that no process of another app changes while one app is deployed."""
    lane.acts(3)
    assert all(other.undisturbed() for other in others)


def at_once(lanes: list[Lane], deploys: int) -> Counter[str]:
    """Runs the remaining deploys on all apps at the same time."""
    remaining = deploys - sum(lane.done["deploy"] + lane.done["refused"] for lane in lanes)
    shares = [remaining // len(lanes) + (number < remaining % len(lanes)) for number in range(len(lanes))]
    with ThreadPoolExecutor(len(lanes)) as pool:
        for ended in [pool.submit(lane.acts, share) for lane, share in zip(lanes, shares, strict=True)]:
            ended.result()
    return sum((lane.done for lane in lanes), Counter())


def workers(server: Server) -> list[str]:
    """The PIDs of nginx, which a reload would change."""
    group = run(server, "systemctl", "show", "--property=ControlGroup", "--value", "nginx.service").strip()
    return sorted(run(server, "cat", f"/sys/fs/cgroup{group}/cgroup.procs").split())
