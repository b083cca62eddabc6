"""A rollback waits for no upload, build, drain, health check or watch: the other command gives way and says so.

`WITHIN_S` is generous, because machines differ. docs/guarantees.md says how long a rollback took.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.background import children, in_background, load, wait_for_requests
from harness.world import App, Ended, wait_until
from hints.walk import hint_of, type_in
from teal.transports.local import find_nginx
from teal_host.wire.messages import OVERTAKEN

WITHIN_S = 20.0
GAVE_WAY = "gave way to a rollback; traffic stayed"
AN_HOUR = {"watch_s": 3600}
RECOVERY = """
import sys
from pathlib import Path
from teal_host.ground import overtaking
from teal_host.ground.paths import HostPaths
from teal_host.provisioning.local import LocalProvisioning
from teal_host.proxies.local_nginx import LocalNginx
from teal_host.state.app import Host
from teal_host.stories import recover
from teal_host.supervisors.process import PlainProcesses

overtaking.listen()
paths = HostPaths(Path(sys.argv[1]))
nginx = LocalNginx(paths.nginx, sys.argv[3])
recover.at_boot(Host(paths, PlainProcesses(), nginx, LocalProvisioning(paths, nginx), print).app(sys.argv[2]))
"""
Counted = Callable[..., None]
Deploying = Callable[[], Ended]  # lets the deploy go on, and waits for its end


@contextmanager
def uploading(app: App) -> Iterator[Deploying]:
    """A deploy whose line stands still: the test stops its client in the middle of the upload."""
    app.world.line_is_slow()
    app.program(version="v3")
    (app.directory / "dist").mkdir()
    (app.directory / "program").rename(app.directory / "dist/program")
    (app.directory / "dist/large").write_bytes(os.urandom(24_000_000))
    app.config(build={"artifact": "dist"})
    with in_background(app, "deploy", "--json") as running:
        running.wait_for(type="progress", step="upload")
        running.send(signal.SIGSTOP)
        yield lambda: running.send(signal.SIGCONT) or running.ended()  # type: ignore[func-returns-value]


@contextmanager
def building(app: App) -> Iterator[Deploying]:
    gate = app.world.home / "gate"
    app.program(version="v3")
    app.config(build={"command": ["sh", "-c", f"echo building; while ! [ -e {gate} ]; do sleep 0.05; done"]})
    with in_background(app, "deploy", "--json") as running:
        running.wait_for(type="output", line="building")
        running.wait_for(type="step", name="connect", state="done")
        wait_until(
            lambda: any(map(can_be_asked, children(running.process.pid)))
        )  # it greets before it imports the rest
        yield lambda: gate.touch() or running.ended()  # type: ignore[func-returns-value]


def can_be_asked(pid: int) -> bool:
    """Whether this process handles the signal of a rollback."""
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    (caught,) = (int(row.split()[1], 16) for row in rows if row.startswith("SigCgt:"))
    return bool(caught >> (signal.SIGURG - 1) & 1)


@contextmanager
def waiting_for_health(app: App, **behaviour: Any) -> Iterator[Deploying]:
    app.program(version="v3", **(behaviour or {"waits_for": "/nowhere"}))
    app.config(health={"deadline_s": 3600})
    with in_background(app, "deploy", "--json") as running:
        running.wait_for(type="step", name="health", state="started")
        yield running.ended


@contextmanager
def waiting_for_an_answer(app: App) -> Iterator[Deploying]:
    with waiting_for_health(app, hangs=True) as ended:
        yield ended


@contextmanager
def draining(app: App) -> Iterator[Deploying]:
    """A visitor's connection keeps the color of v1, which the deploy of v3 waits for."""
    app.program(version="v3")
    app.config(keep={"drain_s": 3600})
    with socket.create_connection(("127.0.0.1", app.ports[0])) as visitor:
        visitor.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert visitor.recv(100)
        with in_background(app, "deploy", "--json") as running:
            running.wait_for(type="step", name="start", detail="waiting for the last work of blue")
            yield running.ended


@contextmanager
def waiting_for_what_apps_share(app: App) -> Iterator[Deploying]:
    """Another app holds the lock of the ports and of nginx, for an hour."""
    app.program(version="v3")
    with (app.world.root / "var/lib/teal/.lock").open() as lock, in_background(app, "deploy", "--json") as running:
        running.wait_for(type="step", name="connect", state="done")
        fcntl.flock(lock, fcntl.LOCK_EX)
        running.wait_for(type="step", name="upload", state="done")
        wait_until(lambda: '"begin"' in (app.state / "journal").read_text().splitlines()[-1])
        yield running.ended


@contextmanager
def judging_what_a_killed_deploy_left(app: App) -> Iterator[Deploying]:
    """The recovery of a deploy that was killed in its watch gives its release an hour to become healthy."""
    killed_in_the_watch(app)
    app.program(version="v4")
    with in_background(app, "deploy", "--json") as running:
        running.wait_for(type="step", name="recover", detail="/healthz answers 500, expected 200")
        yield running.ended


@contextmanager
def ending_a_deaf_candidate(app: App) -> Iterator[Deploying]:
    """The candidate ignores SIGTERM, and would be killed half a minute later."""
    with waiting_for_health(app, waits_for="/nowhere", deaf=True) as ended:
        yield ended


def killed_in_the_watch(app: App) -> None:
    """v3 is live and has turned sick, and nobody watches it."""
    sick = app.world.home / "sick"
    app.program(version="v3", sick_when=str(sick))
    app.config(keep=AN_HOUR, health={"deadline_s": 3600})
    with in_background(app, "deploy", "--json") as running:
        running.wait_for(type="step", name="watch", state="started")
        os.kill(running.server_side(), signal.SIGKILL)
        running.ended()
    sick.touch()


@contextmanager
def watching(app: App) -> Iterator[Deploying]:
    app.program(version="v3")
    app.config(keep=AN_HOUR)
    with in_background(app, "deploy", "--json") as running:
        running.wait_for(type="step", name="watch", state="started")
        yield running.ended


def rolled_back(app: App, counted: Counted, *arguments: str) -> Ended:
    began = time.monotonic()
    ended = app.teal("rollback", "--json", *arguments).ok()
    took = time.monotonic() - began
    counted(seconds_of_the_rollback=round(took, 2))
    assert took < WITHIN_S
    return ended


@pytest.mark.row("G6")
@pytest.mark.hint("teal status, then teal deploy again")
@pytest.mark.parametrize("phase", [uploading, building, waiting_for_health, waiting_for_an_answer, draining])
def test_rollback_overtakes_a_deploy_before_its_switch(app: App, counted: Counted, phase: Any) -> None:
    first, second = app.deploy_versions("v1", "v2")
    with phase(app) as deploying:
        ended = rolled_back(app, counted)
        assert (ended.result["outcome"], ended.result["release"]) == ("live", first)
        assert app.get()["version"] == "v1"
        overtaken = deploying()
    assert (overtaken.code, overtaken.result["outcome"]) == (8, "refused")
    assert overtaken.result["error"]["message"] == GAVE_WAY
    assert app.get()["version"] == "v1"
    assert app.status()["notes"] == []
    outcomes = {row["release"]: row["outcome"] for row in app.releases()}
    assert (outcomes.pop(first), outcomes.pop(second)) == ("live", "superseded")
    assert set(outcomes.values()) <= {"refused"}
    app.config()
    app.program(version="v4")
    hint = hint_of(overtaken.result["error"], "teal status, then teal deploy again")
    for command in hint.removesuffix(" again").split(", then "):
        type_in(app, command)
    assert app.get()["version"] == "v4"


@pytest.mark.row("G6")
@pytest.mark.parametrize("phase", [waiting_for_what_apps_share, ending_a_deaf_candidate])
def test_rollback_overtakes_a_deploy_that_waits_for_another_app_or_program(
    app: App, counted: Counted, phase: Any
) -> None:
    app.deploy_versions("v1", "v2")
    with phase(app) as deploying:
        rolled_back(app, counted)
        overtaken = deploying()
    assert (overtaken.code, overtaken.result["error"]["message"]) == (8, GAVE_WAY)
    assert app.get()["version"] == "v1"


@pytest.mark.row("G6")
def test_rollback_overtakes_a_deploy_that_recovers_what_was_interrupted(app: App, counted: Counted) -> None:
    _, second = app.deploy_versions("v1", "v2")
    with judging_what_a_killed_deploy_left(app) as deploying:
        assert rolled_back(app, counted).result["release"] == second
        overtaken = deploying()
    assert (overtaken.code, overtaken.result["error"]["message"]) == (8, GAVE_WAY)
    assert app.get()["version"] == "v2"
    assert [row["outcome"] for row in app.releases()] == ["superseded", "live", "live"]
    assert app.status()["notes"] == []


@pytest.mark.row("G6")
def test_rollback_overtakes_the_recovery_after_a_boot(app: App, counted: Counted) -> None:
    _, second = app.deploy_versions("v1", "v2")
    killed_in_the_watch(app)
    recovering = subprocess.Popen([sys.executable, "-c", RECOVERY, app.world.root, app.name, str(find_nginx())])
    try:
        wait_until(lambda: '"recover"' in (app.state / "lock").read_text())
        assert rolled_back(app, counted).result["release"] == second
        assert recovering.wait(WITHIN_S) == 0
    finally:
        recovering.kill()
        recovering.wait()
    assert app.get()["version"] == "v2"


@pytest.mark.row("G6")
def test_rollback_overtakes_a_deploy_that_starts_its_standby_again(app: App, counted: Counted) -> None:
    """v3 has turned sick, and v2, which stood by, has ended and does not come back."""
    (first,) = app.deploy_versions("v1")
    gate, sick = app.world.home / "gate", app.world.home / "sick"
    gate.touch()
    app.config(health={"deadline_s": 3600})
    app.program(version="v2", waits_for=str(gate))
    app.deploy().ok()
    standby = app.get()["pid"]
    app.program(version="v3", sick_when=str(sick))
    app.config(keep=AN_HOUR)
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="watch", state="started")
        gate.unlink()
        os.kill(standby, signal.SIGKILL)
        sick.touch()
        deploying.wait_for(type="step", name="start", detail=f"nothing listens on port {app.ports[2]}")
        assert rolled_back(app, counted, first).result["release"] == first
        overtaken = deploying.ended()
    assert (overtaken.code, overtaken.result["outcome"]) == (7, "superseded")
    assert app.get()["version"] == "v1"


@pytest.mark.row("G6")
def test_rollback_ends_a_watch_of_an_hour_and_goes_back_without_a_lost_request(app: App, counted: Counted) -> None:
    _, second = app.deploy_versions("v1", "v2")
    with load(app) as visitors, watching(app) as deploying:
        wait_for_requests(visitors)
        ended = rolled_back(app, counted)
        overtaken = deploying()
        wait_for_requests(visitors)
    assert visitors.tally().failed == 0, visitors.tally()
    assert (ended.result["outcome"], ended.result["release"]) == ("live", second)
    assert (overtaken.code, overtaken.result["outcome"]) == (7, "superseded")
    assert "gave way to a rollback, which ended its watch" in overtaken.result["error"]["message"]
    steps = [line for line in overtaken.lines if line["type"] == "step"]
    assert (steps[-1]["name"], steps[-1]["state"], steps[-1]["detail"]) == ("watch", "failed", OVERTAKEN)
    rows = app.releases()
    assert [row["outcome"] for row in rows] == ["superseded", "live", "live"]
    assert [row["live"] for row in rows] == [False, True, False]
    assert app.status()["notes"] == []


def test_rollback_ends_the_watch_of_another_rollback(app: App, counted: Counted) -> None:
    (first,) = app.deploy_versions("v1", keep={"previous_running": False})
    with watching(app) as deploying:
        rolled_back(app, counted)
        second = deploying().result["release"]
    with in_background(app, "rollback", "--json", second) as forward:
        forward.wait_for(type="step", name="watch", state="started")
        assert rolled_back(app, counted).result["release"] == first
        overtaken = forward.ended()
    assert (overtaken.code, overtaken.result["outcome"]) == (7, "superseded")
    assert app.get()["version"] == "v1"
    assert [row["outcome"] for row in app.releases()] == ["superseded", "live"]


def test_rollback_goes_no_further_back_where_the_watch_has_gone_back_already(app: App, counted: Counted) -> None:
    """The deploy still holds the lock, because the deploy drains the release that turned sick."""
    _, second = app.deploy_versions("v1", "v2")
    app.config(keep={"watch_s": 600, "drain_s": 3600})
    sick = app.world.home / "sick"
    app.program(version="v3", sick_when=str(sick))
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="watch", state="started")
        with socket.create_connection(("127.0.0.1", app.ports[0])) as visitor:
            visitor.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert visitor.recv(100)
            sick.touch()
            deploying.wait_for(type="step", name="drain", detail="waiting for the last work of blue")
            ended = rolled_back(app, counted)
        overtaken = deploying.ended()
    assert (ended.result["outcome"], ended.result["release"]) == ("unchanged", second)
    assert (overtaken.code, overtaken.result["outcome"]) == (7, "rolled_back")
    assert app.get()["version"] == "v2"


@pytest.mark.row("G6")
@pytest.mark.hint("teal doctor again")
def test_rollback_asks_nobody_to_give_way_where_it_has_nothing_to_go_back_to(app: App) -> None:
    app.deploy_versions("v1")
    gate = app.world.home / "gate"
    with waiting_for_health(app, waits_for=str(gate)) as deploying:
        refused = app.teal("rollback", "--json")
        assert (refused.code, "is at work here since" in refused.result["error"]["message"]) == (8, True)
        rows = app.teal("doctor", "--json").result["findings"]
        hint = hint_of(next(row for row in rows if row["what"] == "commands"), "teal doctor again")
        gate.touch()
        deploying().ok()
    assert "nothing is wrong" in type_in(app, hint.removesuffix(" again")).out
    assert app.get()["version"] == "v3"


def test_rollback_overtakes_a_deploy_that_waits_for_the_lock(app: App, counted: Counted) -> None:
    first, _ = app.deploy_versions("v1", "v2")
    with (
        waiting_for_health(app) as deploy_with_the_lock,
        in_background(app, "deploy", "--json", "--wait", "600") as next_in_line,
    ):
        next_in_line.wait_for(type="step", name="connect", state="done")
        assert rolled_back(app, counted).result["release"] == first
        for deploying in (deploy_with_the_lock, next_in_line.ended):
            overtaken = deploying()
            assert (overtaken.code, overtaken.result["error"]["message"]) == (8, GAVE_WAY)
    assert app.get()["version"] == "v1"


def test_rollback_spares_the_previous_release_that_a_deploy_drains(app: App, counted: Counted) -> None:
    """With previous_running = false, the deploy would end it after the drain."""
    app.deploy_versions("v1")
    app.config(keep={"drain_s": 3600, "previous_running": False})
    app.program(version="v2")
    with socket.create_connection(("127.0.0.1", app.ports[0])) as visitor:
        visitor.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert visitor.recv(100)
        pid = app.get()["pid"]
        with in_background(app, "deploy", "--json") as deploying:
            deploying.wait_for(type="step", name="drain", detail="waiting for the last work of blue")
            rolled_back(app, counted)
            assert deploying.ended().ok().result["outcome"] == "live"
    wait_until(lambda: bool(app.get()["pid"] == pid))
