"""The load must find every lost request, so most servers in this module are faulty."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from bench.load import simple as load_module
from bench.load.simple import Load, Tally

from harness.faulty_servers import (
    BLUE,
    Announcing,
    Chunked,
    Correct,
    NoColor,
    NotJson,
    OldEcho,
    Raw,
    Server,
    Sick,
    Silent,
    WrongEcho,
    serving,
)


@contextmanager
def loading(server: Server, *, clients: int = 4, per_second: int = 2000) -> Iterator[Load]:
    load = Load(("127.0.0.1", server.server_port), "demo.test", clients=clients, per_second=per_second)
    load.start()
    try:
        yield load
    finally:
        load.stop()


def tally_of(handler: type[Correct], requests: int = 20, clients: int = 4) -> Tally:
    with serving(handler) as server, loading(server, clients=clients) as load:
        load.wait_for(requests, 60)
        return load.stop()


@pytest.mark.parametrize("handler", [Correct, Chunked])
def test_load_finds_no_loss_on_a_correct_server_and_keeps_its_connections(handler: type[Correct]) -> None:
    with serving(handler) as server, loading(server, clients=5) as load:
        load.wait_for(200, 60)
        tally = load.stop()
        assert tally.requests >= 200
        assert (tally.failed, tally.failures, tally.closes) == (0, (), 0)
        assert server.connections == 5


def test_load_asks_for_the_color_in_half_of_its_requests() -> None:
    tally = tally_of(Correct, requests=100, clients=4)
    ((color, answers),) = tally.answered_by
    assert color == "blue"
    assert abs(answers - tally.requests / 2) <= 4


def test_load_bodies_are_unique_and_of_many_lengths() -> None:
    bodies: list[bytes] = []

    class Collecting(Correct):
        def answer(self, body: bytes) -> None:
            if self.command == "POST":
                bodies.append(body)
            super().answer(body)

    tally_of(Collecting, requests=200)
    assert len(set(bodies)) == len(bodies) >= 90
    assert max(map(len, bodies)) > 3500
    assert min(map(len, bodies)) < 500
    assert max(map(len, bodies)) <= 4096


def test_load_sends_the_given_host() -> None:
    hosts: set[str] = set()

    class Listening(Correct):
        def answer(self, body: bytes) -> None:
            hosts.add(self.headers["Host"])
            super().answer(body)

    tally_of(Listening)
    assert hosts == {"demo.test"}


def test_announced_close_counts_as_no_failure() -> None:
    with serving(Announcing) as server, loading(server) as load:
        load.wait_for(40, 60)
        tally = load.stop()
        assert tally.failed == 0
        assert tally.closes == tally.requests == server.connections


def test_silent_close_of_a_connection_fails_only_the_next_request() -> None:
    with serving(Silent) as server, loading(server, clients=1) as load:
        load.wait_for(20, 60)
        tally = load.stop()
    assert tally.failed == tally.requests // 2
    assert server.connections == tally.requests - tally.failed
    assert tally.closes == 0


@pytest.mark.parametrize("handler", [WrongEcho, OldEcho])
def test_wrong_echo_counts_as_a_failure(handler: type[Correct]) -> None:
    tally = tally_of(handler)
    assert abs(tally.failed - tally.requests / 2) <= 4
    assert all("POST /echo: " in why and "others came back" in why for why in tally.failures)


@pytest.mark.parametrize("handler", [NotJson, NoColor])
def test_status_without_a_color_counts_as_a_failure(handler: type[Correct]) -> None:
    tally = tally_of(handler)
    assert abs(tally.failed - tally.requests / 2) <= 4
    assert all("GET /status: not a JSON object with a color" in failure for failure in tally.failures)
    assert tally.answered_by == ()


def test_answer_500_counts_as_a_failure_and_keeps_its_connection() -> None:
    with serving(Sick) as server, loading(server) as load:
        load.wait_for(50, 60)
        tally = load.stop()
        assert tally.failed == tally.requests >= 50
        assert all(failure.endswith("status 500") for failure in tally.failures)
        assert server.connections == 4


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "the connection was closed without an answer"),
        (b"HTTP/1.1 200 O", "the answer was cut off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n", "the answer was cut off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n" + BLUE, "the answer was cut off"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + BLUE, "an answer without a length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + BLUE, "an answer without a length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n" + BLUE + b"\r\n", "was cut off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "was cut off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0f\r\n" + BLUE + b"\r\n", "is longer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n", "not the size of a chunk"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not an HTTP/1 answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "does not end"),
    ],
)
def test_incomplete_or_malformed_answer_counts_as_a_failure(sent: bytes, reason: str) -> None:
    tally = tally_of(type("Cut", (Raw,), {"sent": sent}), requests=6, clients=1)
    assert tally.failed == tally.requests >= 6
    assert any(reason in failure for failure in tally.failures), tally.failures


def test_tally_keeps_only_the_first_20_failures() -> None:
    tally = tally_of(Sick, requests=60)
    assert len(tally.failures) == 20
    assert tally.failed >= 60


def test_refused_connection_counts_as_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    load = Load(address, "demo.test", clients=2, per_second=1000)
    load.start()
    load.wait_for(10, 60)
    tally = load.stop()
    assert tally.failed == tally.requests >= 10
    assert "111" in tally.failures[0] or "refused" in tally.failures[0]


@contextmanager
def holding() -> Iterator[tuple[Server, threading.Event, threading.Event]]:
    """A server that answers only once `may_answer` is set; the events are `asked` and `may_answer`."""
    asked, may_answer = threading.Event(), threading.Event()

    class Holding(Correct):
        def answer(self, body: bytes) -> None:
            asked.set()
            may_answer.wait(60)
            super().answer(body)

    with serving(Holding) as server:
        try:
            yield server, asked, may_answer
        finally:
            may_answer.set()


def test_stop_lets_a_running_request_end() -> None:
    with holding() as (server, asked, may_answer), loading(server, clients=1) as load:
        assert asked.wait(60)
        stopping = threading.Thread(target=load.stop)
        stopping.start()
        while not load._stop.is_set():
            time.sleep(0.001)
        assert load.tally().requests == 0
        may_answer.set()
        stopping.join()
        tally = load.tally()
    assert (tally.requests, tally.failed) == (1, 0)


def test_answer_after_the_deadline_counts_as_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "DEADLINE_S", 0.05)
    with holding() as (server, _, _), loading(server, clients=1) as load:
        tally = load.wait_for(1, 60)
    assert tally.failed == tally.requests == 1
    assert "no whole answer in 0.05 s" in tally.failures[0]


def test_load_stops_waiting_at_the_deadline() -> None:
    with holding() as (server, _, may_answer), loading(server) as load:
        assert load.wait_for(1, 0.01).requests == 0
        may_answer.set()


def test_load_pace_never_exceeds_the_requested_one() -> None:
    with serving(Correct) as server, loading(server, clients=3, per_second=200) as load:
        tally = load.wait_for(40, 60)
    assert 40 <= tally.requests <= tally.seconds * 200 + 1


def test_stop_is_not_held_up_by_a_slow_pace() -> None:
    with serving(Correct) as server:
        load = Load(("127.0.0.1", server.server_port), "demo.test", clients=2, per_second=1)
        load._gap = 600.0
        load.start()
        load.wait_for(1, 60)
        tally = load.stop()
    assert tally.requests == 1
    assert tally.seconds < 300


def test_tally_does_not_change_after_the_stop() -> None:
    with serving(Correct) as server, loading(server) as load:
        load.wait_for(10, 60)
        assert load.stop() == load.stop() == load.tally() == load.wait_for(10_000, 60)


def test_stop_without_a_start_returns_an_empty_tally() -> None:
    assert Load(("127.0.0.1", 1), "demo.test").stop() == Tally(0, 0, 0.0, ())


def test_load_starts_only_once() -> None:
    with serving(Correct) as server, loading(server) as load, pytest.raises(RuntimeError):
        load.start()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("read", [Load.tally, Load.stop, lambda load: load.wait_for(10**9, 60)])
def test_load_that_died_gives_no_numbers(read: Callable[[Load], Tally], monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(_: bytes) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(load_module, "_color", mistaken)
    with serving(Correct) as server:
        load = Load(("127.0.0.1", server.server_port), "demo.test")
        load.start()
        with pytest.raises(RuntimeError, match="died"):
            load.wait_for(10**9, 60)
        with pytest.raises(RuntimeError, match="died"):
            read(load)
        with pytest.raises(RuntimeError, match="died"):
            load.stop()  # waits for its thread, whose error would count for the next test


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "0.0.0.0", "10.0.0.1", "2001:db8::1", "::", "example.com", "localhost", ""]
)
def test_load_goes_nowhere_but_to_loopback(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        Load((host, 80), "example.com")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1"])
def test_load_accepts_a_loopback_address(host: str) -> None:
    Load((host, 80), "example.com")


@pytest.mark.parametrize(("clients", "per_second"), [(0, 1), (1, 0), (-1, 1)])
def test_load_without_clients_or_without_a_pace_is_refused(clients: int, per_second: int) -> None:
    with pytest.raises(ValueError, match="no load"):
        Load(("127.0.0.1", 80), "demo.test", clients=clients, per_second=per_second)
