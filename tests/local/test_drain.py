"""Work that outlives the switch stays on its color, until that is reused: then it is waited for, counted, and told."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harness.background import in_background
from harness.world import App, wait_until
from teal_host.ground import sockets
from teal_host.ground.paths import HostPaths
from teal_host.supervisors.process import PlainProcesses

WAITS = "waiting for the last work of blue"


class Stream:
    """A visitor of an endless answer."""

    def __init__(self, app: App) -> None:
        self.got = b""
        self.ended = False
        self._socket = socket.create_connection(("127.0.0.1", app.ports[0]), 30)
        self._socket.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        wait_until(lambda: b"data: " in self.got)

    def flows(self) -> bool:
        """There comes more."""
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
    told = [line["text"] for line in third if line["type"] == "note"]
    assert told == ["1 connection(s) to blue were still open after 6 s and are cut"]
    wait_until(lambda: stream.ended)
    assert b"data: v1 " in stream.got
    assert b"data: v3 " not in stream.got
    assert app.get()["version"] == "v3"
    stream.close()


@pytest.mark.row("D17", "E10")
def test_drain_waits_for_a_slow_upload_that_nginx_still_buffers(app: App) -> None:
    _deployed(app, "v1", drain_s=60)
    with _upload(app) as upload:
        _deployed(app, "v2", drain_s=60)
        wait_until(lambda: sockets.connections(app.ports[1]) == 0)  # so nothing of it is to be seen at the color
        app.program(version="v3")
        with in_background(app, "deploy", "--json") as deploying:
            deploying.wait_for(type="step", name="start", detail=WAITS)
            assert app.status()["colors"]["blue"]["state"] == "running"
            upload.sendall(b"second half")
            answer = b"".join(iter(lambda: upload.recv(4096), b""))  # head and body may come one by one
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            assert b"\r\nX-Color: blue\r\n" in answer
            assert answer.endswith(b"first half, second half")
            upload.close()
            ended = deploying.ended(30).ok()
    assert [line for line in ended.lines if line["type"] == "note"] == []
    assert app.get()["version"] == "v3"


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
        deploying.ended(30).ok()
    assert _log(app, first).endswith("told to end\nhas ended by itself\n")
    assert app.get()["version"] == "v3"


def _log(app: App, release: str) -> str:
    return (app.state / f"logs/blue-{release}.log").read_text()


@contextmanager
def _upload(app: App) -> Iterator[socket.socket]:
    """Half of one, by a visitor who takes long."""
    with socket.create_connection(("127.0.0.1", app.ports[0]), 30) as upload:
        head = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\n"
        upload.sendall(f"{head}Content-Length: 23\r\n\r\nfirst half, ".encode())
        yield upload


def _deployed(app: App, version: str, drain_s: float) -> list[dict[str, Any]]:
    app.config(keep={"drain_s": drain_s})
    app.program(version=version)
    return app.deploy().ok().lines
