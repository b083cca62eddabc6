"""The figures of `bench/` rest on its relay.

The tests measure the delay and the rate of the relay, and compare its counts.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from bench.link import Link, wire

_SIZE = 1_500_000  # bytes


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """A server on loopback that gives each connection to this function."""
    doors: list[socket.socket] = []

    def start(each: Callable[[socket.socket], None]) -> int:
        door = socket.create_server(("127.0.0.1", 0))
        doors.append(door)
        threading.Thread(target=_accept, args=(door, each), daemon=True).start()
        return int(door.getsockname()[1])

    yield start
    for door in doors:
        door.shutdown(socket.SHUT_RDWR)
        door.close()


def _accept(door: socket.socket, each: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            line, _ = door.accept()
        except OSError:
            return
        with line:
            each(line)


def _echo(line: socket.socket) -> None:
    while data := line.recv(65536):
        line.sendall(data)


def _swallow(line: socket.socket) -> None:
    count = 0
    while data := line.recv(65536):
        count += len(data)
    line.sendall(str(count).encode())


def _pour(line: socket.socket) -> None:
    line.sendall(bytes(_SIZE))


def _read_all(line: socket.socket) -> bytes:
    parts = []
    while data := line.recv(65536):
        parts.append(data)
    return b"".join(parts)


Serve = Callable[[Callable[[socket.socket], None]], int]


def measured(measure: Callable[[], float], enough: float) -> list[float]:
    """Repeats a measurement until one is quick enough, at most a hundred times.

    A busy machine makes everything slower.
    """
    seconds = [measure()]
    while min(seconds) >= enough and len(seconds) < 100:
        seconds.append(measure())
    return seconds


def test_relay_delays_a_round_trip_as_configured(serve: Serve) -> None:
    with wire(Link("test", 60, 0), "127.0.0.1", serve(_echo)) as near:
        with socket.create_connection(("127.0.0.1", near.port)) as line:
            seconds = measured(lambda: _round_trip(line), 0.066)
            assert 0.054 < min(seconds) < 0.066
        counted = near.counted()
        assert (counted.up, counted.down, counted.connections) == (len(seconds), len(seconds), 1)
        opened = measured(lambda: _opened(near.port), 0.132)
        assert 0.110 < min(opened) < 0.132  # opening a connection costs a round trip, too


def _opened(port: int) -> float:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as line:
        _round_trip(line)
        return time.monotonic() - began


def _round_trip(line: socket.socket) -> float:
    began = time.monotonic()
    line.sendall(b"x")
    line.recv(100)
    return time.monotonic() - began


def test_relay_limits_the_upward_rate_as_configured(serve: Serve) -> None:
    with wire(Link("test", 0, 20), "127.0.0.1", serve(_swallow)) as near:

        def sent() -> float:
            began = time.monotonic()
            with socket.create_connection(("127.0.0.1", near.port)) as line:
                line.sendall(bytes(_SIZE))
                line.shutdown(socket.SHUT_WR)
                assert _read_all(line) == str(_SIZE).encode()
            return time.monotonic() - began

        ideal = _SIZE * 8 / 20e6
        seconds = measured(sent, 1.1 * ideal)
        assert min(seconds) == pytest.approx(ideal, rel=0.1)
        assert near.counted().up == len(seconds) * _SIZE


def test_relay_limits_the_downward_rate_as_configured_for_two_at_once(serve: Serve) -> None:
    with wire(Link("test", 10, 20), "127.0.0.1", serve(_pour)) as near:

        def came() -> float:
            lines = [socket.create_connection(("127.0.0.1", near.port)) for _ in range(2)]
            began = time.monotonic()
            for line in lines:
                with line:
                    assert len(_read_all(line)) == _SIZE
            return time.monotonic() - began

        ideal = 2 * _SIZE * 8 / 20e6
        seconds = measured(came, 1.1 * ideal)
        assert min(seconds) == pytest.approx(ideal, rel=0.1)
        assert near.counted().down == 2 * len(seconds) * _SIZE
