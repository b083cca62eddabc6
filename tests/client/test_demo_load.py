"""The load of `teal demo` must find every lost request, so most servers in this module are faulty."""

import socket

import pytest

from harness.faulty_servers import (
    BLUE,
    Announcing,
    Chunked,
    Correct,
    NoColor,
    NotJson,
    OldEcho,
    Raw,
    Sick,
    Silent,
    WrongEcho,
    serving,
)
from teal.demo.load import Load, Tally


def tally_of(handler: type[Correct], requests: int = 20, clients: int = 4) -> tuple[Tally, int]:
    """And the number of connections."""
    with serving(handler) as server:
        load = Load(server.server_port, clients=clients, per_second=2000)
        load.start()
        load.wait_for(requests, 60)
        return load.stop(), server.connections


@pytest.mark.parametrize("handler", [Correct, Chunked])
def test_demo_load_loses_nothing_on_a_correct_server_and_keeps_its_connections(handler: type[Correct]) -> None:
    tally, connections = tally_of(handler, requests=100)
    ((color, answers),) = tally.answered_by
    assert tally.requests >= 100
    assert (tally.failed, tally.failures, color, connections) == (0, (), "blue", 4)
    assert abs(answers - tally.requests / 2) <= 4


def test_demo_load_goes_on_after_an_announced_close() -> None:
    tally, connections = tally_of(Announcing)
    assert tally.failed == 0
    assert connections == tally.requests


def test_demo_load_loses_the_request_after_a_silent_close() -> None:
    tally, _ = tally_of(Silent, clients=1)
    assert tally.failed == tally.requests // 2


@pytest.mark.parametrize(
    ("handler", "reason"),
    [(WrongEcho, "others came back"), (OldEcho, "others came back"), (NotJson, "JSON"), (NoColor, "indices")],
)
def test_demo_load_takes_no_wrong_answer(handler: type[Correct], reason: str) -> None:
    tally, _ = tally_of(handler)
    assert abs(tally.failed - tally.requests / 2) <= 4
    assert all(reason in failure for failure in tally.failures)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 O",
        b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n" + BLUE,
        b"HTTP/1.1 200 OK\r\n\r\n" + BLUE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n" + BLUE + b"\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
)
def test_demo_load_takes_no_incomplete_answer(sent: bytes) -> None:
    tally, _ = tally_of(type("Cut", (Raw,), {"sent": sent}), requests=6, clients=1)
    assert tally.failed == tally.requests >= 6


def test_demo_load_keeps_only_the_first_20_failures() -> None:
    tally, _ = tally_of(Sick, requests=60)
    assert tally.failed == tally.requests >= 60
    assert tally.failures == ("ValueError: status 500",) * 20


def test_demo_load_counts_a_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    load = Load(port, clients=2, per_second=1000)
    load.start()
    load.wait_for(10, 60)
    tally = load.stop()
    assert tally.failed == tally.requests >= 10
    assert "refused" in tally.failures[0]
