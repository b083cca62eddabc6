"""What runs beside a test: a command of `teal` with its events, visitors, and foreign programs on a port."""

import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

from bench.load.simple import Load

from harness.world import PATIENCE_S, App, Ended, takes, wait_until

BUILDS_ON = "echo building; while kill -0 $PPID; do sleep 0.05; done"  # a build that ends with the client


@contextmanager
def repeated(act: Callable[[], object], pause_s: float = 0) -> Iterator[None]:
    """Does the act again and again while the block runs, with a pause before each time. The last one ends first."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(pause_s):
            act()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class RunningCommand:
    """A command that runs while the test continues."""

    def __init__(self, app: App, *arguments: str) -> None:
        self.process = app.world.start(*arguments, cwd=app.directory)
        self._out: list[str] = []
        self._err: list[str] = []
        self._readers = [
            threading.Thread(target=_read, args=(pipe, lines), daemon=True)
            for pipe, lines in ((self.process.stdout, self._out), (self.process.stderr, self._err))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines that the command has printed so far."""
        return [json.loads(line) for line in list(self._out)]

    def wait_for(self, deadline_s: float = PATIENCE_S, **members: Any) -> None:
        """Waits for an event that has all of these members. Fails at once when the output ends without it."""
        reader = self._readers[0]
        wait_until(lambda: self._has(members) or not reader.is_alive(), deadline_s)
        assert self._has(members), f"there was no event {members}: {self._out}"

    def _has(self, members: dict[str, Any]) -> bool:
        return any(members.items() <= event.items() for event in self.events)

    def server_side(self) -> int:
        """The PID of the process at the other end of the pipe."""
        (pid,) = children(self.process.pid)
        return pid

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, deadline_s: float = 2 * PATIENCE_S) -> Ended:
        """Waits for the end of the command. The server side may live on and hold standard error open."""
        code = self.process.wait(deadline_s)
        self._readers[0].join(deadline_s)
        return Ended(code, "".join(self._out), "".join(self._err))


def children(parent: int) -> set[int]:
    """The child processes of this process."""
    return {int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent(path) == parent}


@contextmanager
def in_background(app: App, *arguments: str) -> Iterator[RunningCommand]:
    """Runs the command beside the block, and kills the command after it."""
    running = RunningCommand(app, *arguments)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


@contextmanager
def exclusive(what: str) -> Iterator[None]:
    """Holds an abstract name of this machine, for tests to which Teal would otherwise give the same choice."""
    with socket.socket(socket.AF_UNIX) as name:
        wait_until(lambda: takes(name, f"teal-tests-{what}"), deadline_s=600)
        yield


@contextmanager
def stranger(port: int, address: str = "127.0.0.1") -> Iterator[None]:
    """A healthy program of somebody else that listens on this port."""
    server = ThreadingHTTPServer((address, port), _Stranger)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def load(app: App, host: str = "localhost", clients: int = 4, per_second: int = 100) -> Iterator[Load]:
    """Visitors who send requests from before the block until its end."""
    visitors = Load(("127.0.0.1", app.ports[0]), host, clients=clients, per_second=per_second)
    visitors.start()
    try:
        wait_for_requests(visitors, 10)
        yield visitors
    finally:
        visitors.stop()


def wait_for_requests(visitors: Load, count: int = 20) -> None:
    """Waits until `count` more requests have been answered."""
    wanted = visitors.tally().requests + count
    assert visitors.wait_for(wanted, PATIENCE_S).requests >= wanted


class _Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"message": "ok", "color": "green"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *ignored: Any) -> None:
        return


def _read(pipe: IO[str], lines: list[str]) -> None:
    with pipe:
        for line in pipe:
            lines.append(line)


def _parent(path: Path) -> int | None:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
