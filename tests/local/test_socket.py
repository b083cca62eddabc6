"""An app whose colors listen on unix sockets, alone and beside a release that listens on a port."""

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from harness import world as worlds
from harness.background import in_background, load, wait_for_requests
from harness.listing import listing
from harness.version_before import BEFORE_SOCKETS, unpack_version_before
from harness.world import App, World, wait_until
from local.test_fallback import asked, kill_live
from teal_host.ground import sockets

SOCKET, PORT = ["./program", "{socket}"], ["./program"]
# The lock only says who holds it, and programs write their logs.
OF_NOBODY = ("/var/lib/teal/shop/lock", "/var/lib/teal/shop/logs", "/var/lib/teal/.lock", "/etc/nginx")


@pytest.fixture
def app() -> Iterator[App]:
    """Its state is in a directory with a short name: the path of a socket has 107 bytes at most."""
    with tempfile.TemporaryDirectory() as home, worlds.world(Path(home)) as world:
        yield world.app(run={"command": SOCKET})


def path_of(app: App, color: str) -> Path:
    return app.world.root / "run/teal" / app.name / color / "socket"


def deploy(app: App, version: str, command: list[str], drain_s: int = 0, **behaviour: object) -> None:
    app.config(run={"command": command}, keep={"drain_s": drain_s})
    app.program(version=version, **behaviour)
    app.deploy().ok()


def test_program_gets_a_socket_instead_of_a_port_and_lives_a_whole_life_on_it(app: App) -> None:
    app.config(run={"command": SOCKET}, keep={"watch_s": 1})
    app.deploy().ok()
    env = app.get("/env")
    assert (env["SOCKET"], "PORT" in env, "HOST" in env) == (str(path_of(app, "blue")), False, False)
    row = app.status()["colors"]["blue"]
    assert (row["port"], row["socket"], row["state"]) == (None, str(path_of(app, "blue")), "running")
    assert app.status()["colors"]["green"]["port"] is None
    assert str(path_of(app, "blue")) not in app.teal("exec", "--", "env").ok().out
    app.program(version="v2")
    app.deploy().ok()
    assert (app.deploy().ok().result["outcome"], app.get()["color"]) == ("unchanged", "green")
    assert {finding["state"] for finding in app.teal("doctor", "--json").ok().result["findings"]} <= {"ok", "warning"}
    assert app.teal("rollback", "--json").ok().result["outcome"] == "live"
    assert app.get()["version"] == "v1"
    app.program(version="v3")
    app.deploy("--evict", "--yes").ok()
    assert (app.get()["version"], app.teal("rollback").code) == ("v3", 2)
    app.teal("destroy", "--yes").ok()
    assert not app.world.root.exists()


def test_no_request_is_lost_when_an_app_changes_from_port_to_socket_and_back(app: App) -> None:
    deploy(app, "v1", PORT)
    with load(app) as visitors:
        for version, command in (("v2", SOCKET), ("v3", PORT)):
            deploy(app, version, command, starts_after=0.3)
            assert app.get()["version"] == version
            wait_for_requests(visitors, 10)
        for goes_back_to in ("v2", "v1"):
            app.teal("rollback").ok()
            assert app.get()["version"] == goes_back_to
            wait_for_requests(visitors, 10)
    assert visitors.tally().failed == 0, visitors.tally()


@pytest.mark.row("B16")
def test_teal_without_sockets_changes_an_app_of_ports_and_stops_at_one_of_a_socket(app: App, tmp_path: Path) -> None:
    """At 432588d it changed both: nginx's file lost the way to the socket that was live."""
    older = {"PYTHONPATH": str(unpack_version_before(tmp_path, BEFORE_SOCKETS))}
    deploy(app, "v1", PORT)
    app.program(version="v2")
    app.teal("deploy", **older).ok()
    app.teal("rollback").ok()
    deploy(app, "v3", SOCKET)
    untouched = listing(app.world.root, OF_NOBODY)
    app.config(run={"command": PORT})
    for arguments in (("deploy",), ("rollback",), ("env", "set", "TOKEN"), ("destroy", "-y")):
        stopped = app.teal(*arguments, stdin="value", **older)
        assert (stopped.code, "of a newer Teal" in stopped.err) == (10, True), stopped
        assert listing(app.world.root, OF_NOBODY) == untouched
    assert app.get()["version"] == "v3"


@pytest.mark.parametrize(("live", "standby"), [(SOCKET, SOCKET), (SOCKET, PORT), (PORT, SOCKET)], ids=str)
def test_standby_answers_for_a_live_color_that_is_down_wherever_both_listen(
    app: App, live: list[str], standby: list[str]
) -> None:
    deploy(app, "v1", standby)
    deploy(app, "v2", live)
    wait_until(lambda: asked(app, "POST") == (200, "green"))
    kill_live(app)
    assert [asked(app, method) for method in ("GET", "HEAD")] == [(200, "blue")] * 2
    assert asked(app, "POST")[0] == 502
    assert app.status()["fallback"]["answered"] == 2


@pytest.mark.hint("let the program listen on the unix socket {socket} of [run] command, or use {port} there")
def test_refusal_says_what_to_do_when_the_program_makes_no_socket(app: App) -> None:
    app.config(run={"command": SOCKET}, health={"deadline_s": 1})
    app.program(version="v1", never_listens=True)
    refused = app.deploy()
    assert (refused.code, refused.result["outcome"]) == (6, "unhealthy")
    error = refused.result["error"]
    assert f"nothing listens on the socket {path_of(app, 'blue')}" in error["message"]
    assert error["hint"] == "let the program listen on the unix socket {socket} of [run] command, or use {port} there"
    for command in (SOCKET, ["./program", "{port}"]):
        deploy(app, "v1", command)


def test_answer_of_somebody_else_at_the_socket_is_none_of_the_program(app: App) -> None:
    app.program(version="v1", never_listens=True)
    with socket.socket(socket.AF_UNIX) as foreign, in_background(app, "deploy", "--json") as running:
        wait_until(lambda: (app.state / "blue/process.json").exists())
        foreign.bind(str(path_of(app, "blue")))
        foreign.listen()
        ended = running.ended()
    assert ended.code == 6
    assert f"is held by {Path('/proc/self/comm').read_text().strip()}" in ended.result["error"]["message"]


def test_link_to_the_socket_of_somebody_else_is_not_followed(app: App, tmp_path: Path) -> None:
    """Root asks a program's socket on a server, and could reach any other."""
    app.config(run={"command": SOCKET}, health={"deadline_s": 1})
    app.program(version="v1", never_listens=True)
    with socket.socket(socket.AF_UNIX) as foreign, in_background(app, "deploy", "--json") as running:
        wait_until(lambda: (app.state / "blue/process.json").exists())
        place = path_of(app, "blue").with_name("elsewhere")
        foreign.bind(str(place))
        foreign.listen()
        foreign.settimeout(0)
        path_of(app, "blue").symlink_to(place)
        ended = running.ended()
        with pytest.raises(BlockingIOError):
            foreign.accept()
    assert (ended.code, "nothing listens on the socket" in ended.result["error"]["message"]) == (6, True)


def test_work_on_a_socket_is_waited_for_and_counted_before_its_color_is_used_again(app: App) -> None:
    ends = app.directory / "ends"
    deploy(app, "v1", SOCKET, slow_until=str(ends))

    def ask_and_be_cut() -> None:
        with contextlib.suppress(OSError, HTTPException):
            asked(app, "GET", "/slow")

    asking = threading.Thread(target=ask_and_be_cut)
    asking.start()
    wait_until(lambda: sockets.unix_connections(path_of(app, "blue")) == 1)
    deploy(app, "v2", PORT, drain_s=6)
    app.program(version="v3")
    notes = [line.get("text", "") for line in app.deploy().ok().lines]
    ends.touch()
    asking.join()
    assert "1 connection(s) to blue were still open after 6 s and are cut" in notes


@pytest.mark.hint("set XDG_STATE_HOME to a shorter, plainer directory, or use {port} in [run] command")
@pytest.mark.parametrize("folder", ["x" * 60, "a:b", "a b"])
def test_path_that_is_too_long_or_too_odd_for_a_socket_is_refused_before_the_upload(folder: str) -> None:
    with tempfile.TemporaryDirectory() as home, worlds.world(Path(home) / folder) as world:
        app = World.app(world, run={"command": SOCKET})
        refused = app.deploy()
        assert refused.code == 3
        assert refused.result["error"]["message"].startswith("the path of the socket ")
        assert "XDG_STATE_HOME" in refused.result["error"]["hint"]
        assert not app.state.is_dir() or not any(app.state.glob("releases/*"))


def test_path_that_is_too_odd_for_a_socket_is_no_obstacle_to_a_port() -> None:
    with tempfile.TemporaryDirectory() as home, worlds.world(Path(home) / "a b") as world:
        deploy(World.app(world), "v1", PORT)
