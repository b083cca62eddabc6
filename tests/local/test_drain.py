"""Work that outlives the switch stays on its color.

Before the color is reused, Teal waits for the work and reports it.
"""

import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.background import RunningCommand, in_background, stranger
from harness.in_flight import begin, over_tls
from harness.slow_upload import finish, upload
from harness.world import App, free_ports, wait_until
from teal_host.ground import sockets
from teal_host.ground.paths import HostPaths
from teal_host.state.agreement import Agreement
from teal_host.state.app import Running
from teal_host.steps import drain
from teal_host.supervisors.process import PlainProcesses

LISTENERS = ["http_port", "another port", "IPv6", "Unix socket", "TLS"]
WAITS = "waiting for the last work of blue"
SOCKETS, DRAIN_S = int(os.environ.get("TEAL_SOCKETS", "800")), 3.0


@dataclass(frozen=True)
class WayIn:
    """One of nginx's listeners: the directives that make it, and a new connection to it."""

    directives: list[str]
    connect: Callable[[], socket.socket]


@pytest.fixture(params=LISTENERS)
def way_in(request: pytest.FixtureRequest, app: App, tmp_path: Path) -> WayIn:
    (port,) = free_ports(1)
    if request.param == "another port":
        return WayIn([f"listen 127.0.0.1:{port};"], lambda: _connected(port))
    if request.param == "IPv6":
        return WayIn([f"listen [::1]:{port};"], lambda: _connected(port, "::1"))
    if request.param == "Unix socket":
        return WayIn([f"listen unix:{tmp_path}/nginx.sock;"], lambda: _connected_unix(tmp_path / "nginx.sock"))
    if request.param == "TLS":
        certificate, key = _certificate(tmp_path)
        directives = [f"listen 127.0.0.1:{port} ssl;", f"ssl_certificate {certificate};", f"ssl_certificate_key {key};"]
        context = ssl.create_default_context(cafile=str(certificate))
        return WayIn(directives, lambda: context.wrap_socket(_connected(port), server_hostname="localhost"))
    return WayIn([], lambda: _connected(app.ports[0]))


class Stream:
    """A visitor of an endless answer."""

    def __init__(self, app: App) -> None:
        self.got = b""
        self.ended = False
        self._socket = socket.create_connection(("127.0.0.1", app.ports[0]), 120)
        self._socket.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        wait_until(lambda: b"data: " in self.got)

    def flows(self) -> bool:
        """Waits for more data. Returns whether the stream is still open."""
        before = len(self.got)
        wait_until(lambda: self.ended or len(self.got) > before)
        return not self.ended

    def close(self) -> None:
        self._socket.close()

    def _listen(self) -> None:
        try:
            while chunk := self._socket.recv(4096):
                self.got += chunk
        except OSError:
            pass
        self.ended = True


@pytest.mark.row("E9")
def test_drain_keeps_a_stream_open_until_its_color_is_reused_and_then_reports_the_cut(app: App) -> None:
    _deployed(app, "v1", drain_s=6)
    stream = Stream(app)
    _deployed(app, "v2", drain_s=6)
    assert stream.flows(), "the switch cuts nothing"
    app.teal("rollback").ok()
    app.teal("rollback", "2").ok()
    assert stream.flows(), "nor does it there and back"
    assert app.get()["version"] == "v2"
    third = _deployed(app, "v3", drain_s=6)
    assert any(line.get("detail") == WAITS for line in third)
    bound = re.compile(r"waiting up to [1-5] s more \(keep.drain_s\): visitors may still have work on blue")
    assert any(bound.fullmatch(line.get("detail") or "") for line in third)
    notes = [line["text"] for line in third if line["type"] == "note"]
    assert notes == ["1 connection(s) to blue were still open after 6 s and are cut"]
    wait_until(lambda: stream.ended)
    assert b"data: v1 " in stream.got
    assert b"data: v3 " not in stream.got
    assert app.get()["version"] == "v3"
    stream.close()


@pytest.mark.row("D17", "E10")
def test_drain_waits_for_a_slow_upload_that_nginx_still_buffers(app: App) -> None:
    _deployed(app, "v1", drain_s=60)
    with upload(_connected(app.ports[0])) as visitor:
        _deployed(app, "v2", drain_s=60)
        wait_until(lambda: sockets.connections(app.ports[1]) == 0)  # so the color has no connection that Teal could see
        app.program(version="v3")
        with in_background(app, "deploy", "--json") as deploying:
            deploying.wait_for(type="step", name="start", detail=WAITS)
            assert app.status()["colors"]["blue"]["state"] == "running"
            answer = finish(visitor)
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            assert b"\r\nX-Color: blue\r\n" in answer
            assert answer.endswith(b"first half, second half")
            ended = deploying.ended().ok()
    assert [line for line in ended.lines if line["type"] == "note"] == []
    assert app.get()["version"] == "v3"


@pytest.mark.row("D18")
def test_drain_waits_for_an_upload_over_any_listener_of_nginx(app: App, way_in: WayIn) -> None:
    app.config(keep={"drain_s": 60}, proxy={"directives": way_in.directives})
    app.deploy().ok()
    with upload(way_in.connect()) as visitor:
        app.program(version="v2")
        app.deploy().ok()
        app.program(version="v3")
        with in_background(app, "deploy", "--json") as deploying:
            deploying.wait_for(type="step", name="start", detail=WAITS)
            answer = finish(visitor)
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            deploying.ended().ok()
    assert app.get()["version"] == "v3"


@pytest.mark.row("D18")
def test_drain_waits_for_requests_over_every_listener_before_a_release_is_stopped(app: App, tmp_path: Path) -> None:
    port, http2 = free_ports(2)
    certificate, key = _certificate(tmp_path)
    listens = [f"listen 127.0.0.1:{port} ssl;", f"listen 127.0.0.1:{http2} ssl http2;"]
    directives = [*listens, f"ssl_certificate {certificate};", f"ssl_certificate_key {key};"]
    app.config(keep={"drain_s": 60, "previous_running": False}, proxy={"directives": directives})
    first = app.deploy().ok().result["release"]
    secure = [over_tls(_connected(port), certificate, "localhost")]
    secure += [over_tls(_connected(http2), certificate, "localhost", http2=True)]
    uploads = [begin(line, "localhost") for line in (_connected(app.ports[0]), *secure)]
    app.program(version="v2")
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="drain", detail=WAITS)
        for finish_upload in uploads:
            answer = finish_upload()
            assert (answer[":status"], answer["x-color"], answer["x-release"]) == ("200", "blue", first)
        deploying.ended().ok()
    assert app.status()["colors"]["blue"]["state"] == "stopped"


@pytest.mark.row("E22")
def test_drain_waits_for_an_upload_on_a_release_that_is_rolled_back_in_its_watch(app: App) -> None:
    sick = app.directory / "sick"
    _deployed(app, "v1", drain_s=60)
    app.config(keep={"drain_s": 60, "watch_s": 600})
    app.program(version="v2", sick_when=str(sick))
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="watch", state="started")
        with upload(_connected(app.ports[0])) as visitor:
            sick.touch()
            wait_until(lambda: _drains(deploying) or deploying.process.poll() is not None)
            assert app.get()["version"] == "v1"
            assert b"\r\nX-Color: green\r\n" in finish(visitor)
        assert deploying.ended().code == 7
    assert app.status()["colors"]["green"]["state"] == "failed"


@pytest.mark.row("F17")
def test_drain_takes_less_than_a_twentieth_of_a_processor_with_many_sockets(counted: Callable[..., None]) -> None:
    """No check ends early, because no client is connected to the checked port."""
    with ExitStack() as open_:
        idle = open_.enter_context(socket.create_server(("127.0.0.1", 0)))
        for number in range(SOCKETS // 2):
            if number % 100 == 0:  # a connection that nobody accepts takes no file of this process
                busy = open_.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100))
            open_.enter_context(socket.create_connection(busy.getsockname()))
        looks = 0

        def quiet(site: object) -> bool:
            nonlocal looks
            looks += 1
            own = [row for row in sockets.listeners() if row.port == idle.getsockname()[1]]
            assert not sockets.Listeners(tuple(own), (), False).have_connections()
            return False

        proxy = SimpleNamespace(quiet=quiet)
        step = cast(Running, SimpleNamespace(app=SimpleNamespace(host=SimpleNamespace(proxy=proxy)), say=print))
        agreed = cast(Agreement, SimpleNamespace(site=None))
        began_s, worked_s = time.monotonic(), time.thread_time()
        drain._wait_until_quiet(step, HostPaths(Path()).app("shop").color("blue"), agreed, DRAIN_S)
        worked_s, passed_s = time.thread_time() - worked_s, time.monotonic() - began_s
    counted(sockets=SOCKETS, looks=looks, percent_of_a_processor=f"{100 * worked_s / passed_s:.1f}")
    assert looks > 2
    assert worked_s < passed_s * 0.05


def test_drain_looks_seldom_in_the_long_run_and_takes_a_small_part_of_a_processor() -> None:
    for look_s in (0.0001, 0.001, 0.1):
        passed_s = worked_s = looks = 0.0
        while passed_s < 30:
            passed_s += look_s + drain.pause_s(passed_s, look_s)
            worked_s, looks = worked_s + look_s, looks + 1
        assert worked_s < passed_s * 0.05
        assert looks < 200
    assert drain.pause_s(0, 0.0001) < 0.05, "a short drain ends soon"


def test_drain_waits_for_nobody_who_uses_the_port_of_nginx_at_another_address(app: App) -> None:
    _deployed(app, "v1", drain_s=60)
    _deployed(app, "v2", drain_s=60)
    with stranger(app.ports[0], "127.0.0.2"), socket.create_connection(("127.0.0.2", app.ports[0])):
        third = _deployed(app, "v3", drain_s=60)
    assert not any(line.get("detail") == WAITS for line in third)


@pytest.mark.row("C9", "E9")
def test_stop_kills_a_program_that_ignores_sigterm_with_all_its_children(app: App) -> None:
    app.program(version="v1", deaf=True, child=True)
    app.deploy().ok()
    color = HostPaths(app.world.root).app(app.name).color("blue")
    processes = PlainProcesses()
    assert len(processes.pids(color)) >= 2
    processes.stop(color, 0.5)
    assert processes.pids(color) == set()
    assert app.status()["colors"]["blue"]["state"] == "stopped"


@pytest.mark.row("E11")
def test_deploy_waits_for_a_program_that_ends_slowly_and_reports_the_wait(app: App) -> None:
    may_end = app.directory / "may end"
    app.program(version="v1", ends_when=str(may_end))
    first = app.deploy().ok().result["release"]
    app.program(version="v2")
    app.deploy().ok()
    app.program(version="v3")
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="start", detail=f"waiting for {first} on blue to end")
        wait_until(lambda: "told to end" in _log(app, first))
        assert app.get()["version"] == "v2"
        may_end.touch()
        deploying.ended().ok()
    assert _log(app, first).endswith("told to end\nhas ended by itself\n")
    assert app.get()["version"] == "v3"


@pytest.mark.row("E21")
@pytest.mark.parametrize("start", ["#!/bin/sh\n./program\necho ended\n", "#!/bin/sh\n./program & wait\n"])
def test_program_behind_a_start_script_is_told_to_end_and_finishes_its_request(app: App, start: str) -> None:
    may_end = app.directory / "may end"
    app.config(build={"artifact": "dist"}, run={"command": ["./start.sh"]}, keep={"previous_running": False})
    _behind_a_script(app, start, version="v1", ends_when=str(may_end))
    notes = [line["text"] for line in app.deploy().ok().lines if line["type"] == "note"]
    assert any(text.startswith("start.sh starts python") and "write exec" in text for text in notes), notes
    (log,) = (app.state / "logs").glob("blue-*.log")
    stream = Stream(app)
    _behind_a_script(app, start, version="v2")
    with in_background(app, "deploy", "--json") as deploying:
        wait_until(lambda: "told to end" in log.read_text())
        assert stream.flows(), "the script was not told, and the program finishes"
        may_end.touch()
        deploying.ended().ok()
    assert "has ended by itself" in log.read_text()
    assert app.get()["version"] == "v2"
    stream.close()


def _drains(deploying: RunningCommand) -> bool:
    return any(event.get("detail") == "waiting for the last work of green" for event in deploying.events)


def _behind_a_script(app: App, start: str, **behaviour: Any) -> None:
    folder = app.directory / "dist"
    folder.mkdir(exist_ok=True)
    app.program(**behaviour)
    (app.directory / "program").replace(folder / "program")
    (folder / "start.sh").write_text(start)
    (folder / "start.sh").chmod(0o755)


def _connected_unix(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(str(path))
    return connection


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl, for a certificate: apt-get install -y openssl")
    made = folder / "cert.pem", folder / "key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    argv += ["-addext", "subjectAltName=DNS:localhost", "-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run(argv, capture_output=True, check=True, timeout=60)
    return made


def _log(app: App, release: str) -> str:
    return (app.state / f"logs/blue-{release}.log").read_text()


def _connected(port: int, address: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((address, port), 120)


def _deployed(app: App, version: str, drain_s: float) -> list[dict[str, Any]]:
    app.config(keep={"drain_s": drain_s})
    app.program(version=version)
    return app.deploy().ok().lines
