"""Where a name leads, asked at each of its addresses: which answers count, and the words for those that do not."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.world import free_ports
from teal.ground import challenge as challenges
from teal.ground.challenge import Challenge, see_names

NAME = "shop.example.com"
FILE, CONTENT = "a" * 32, "b" * 32
RIGHT = f"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n{CONTENT}".encode()
ABROAD = "2001:db8::1"


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 301 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@contextlib.contextmanager
def answering(port: int, *answers: bytes) -> Iterator[list[bytes]]:
    requests: list[bytes] = []

    def serve() -> None:
        for answer in answers:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    requests.append(connection.recv(65536))
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", port)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield requests


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """In the place of port 80, and of 443 without TLS."""
    (chosen,) = free_ports(1)
    monkeypatch.setattr(challenges, "_PORTS", {"http": chosen, "https": chosen})
    return chosen


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    real = socket.getaddrinfo

    def answers(host: str, *more: Any, **options: Any) -> list[Any]:
        if host != NAME:
            return list(real(host, *more, **options))
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, 80))
            for family, address in zip(families, addresses, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answers)


def why(own: tuple[str, ...] = ()) -> str:
    (seen,) = see_names([NAME], Challenge(FILE, CONTENT, own))
    assert (seen.name, seen.leads) == (NAME, not seen.why)
    return seen.why


def test_name_leads_here_if_its_site_has_the_file(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    resolves_to(monkeypatch, "127.0.0.1")
    with answering(port, RIGHT) as requests:
        assert why() == ""
    assert requests[0].startswith(f"GET /.well-known/acme-challenge/{FILE} HTTP/1.1\r\nHost: {NAME}".encode())


ELSEWHERE = {
    "another text": RIGHT.replace(b"b", b"c"),
    "no such file": RIGHT.replace(b"200 OK", b"404 No"),
    "no HTTP": b"SSH-2.0-x\r\n",
    "nothing": b"",
    "a redirect to another host": redirect("http://example.org/"),
    "a redirect to another port": redirect(f"http://{NAME}:22/.well-known/acme-challenge/{FILE}"),
    "a redirect to another path": redirect("/"),
    "a redirect that is none": redirect("http://[/"),
    "a redirect to a file": redirect("file:///etc/passwd"),
}


@pytest.mark.parametrize("answer", ELSEWHERE.values(), ids=list(ELSEWHERE))
def test_name_leads_elsewhere_if_its_site_answers_otherwise(
    monkeypatch: pytest.MonkeyPatch, port: int, answer: bytes
) -> None:
    resolves_to(monkeypatch, "127.0.0.1")
    with answering(port, answer, RIGHT):
        assert why() == f"A 127.0.0.1 leads elsewhere ({NAME})"


def test_redirect_on_the_name_itself_is_followed_a_few_times(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    resolves_to(monkeypatch, "127.0.0.1")
    again = redirect(f"http://{NAME}/.well-known/acme-challenge/{FILE}")
    with answering(port, again, RIGHT):
        assert why() == ""
    with answering(port, again, again, again, RIGHT):
        assert why()


def test_every_address_of_a_name_is_asked(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """An AAAA record that leads elsewhere fails the challenge, although the A record is right."""
    resolves_to(monkeypatch, "127.0.0.1", "::1")
    with answering(port, RIGHT):
        assert why() == f"AAAA ::1 leads elsewhere: it refuses connections to port 80 ({NAME})"


def test_address_without_a_way_from_here_counts_if_it_is_the_servers(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    def no_way(address: str, scheme: str) -> socket.socket:
        raise OSError(101, "Network is unreachable")

    resolves_to(monkeypatch, ABROAD)
    monkeypatch.setattr(challenges, "_connect", no_way)
    assert why() == f"AAAA {ABROAD} leads elsewhere: there is no way to it from here ({NAME})"
    assert why((ABROAD,)) == ""


def test_own_address_that_refuses_is_named_as_the_servers(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    resolves_to(monkeypatch, "127.0.0.1")
    assert "A 127.0.0.1 is the server's, and does not lead to its site: it refuses" in why(("127.0.0.1",))


def test_name_without_an_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch)
    assert why() == f"{NAME} has no address yet (A or AAAA)"


def test_questions_end_in_time_whatever_a_server_does(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setattr(challenges, "_NAME_WITHIN_S", 0.5)
    resolves_to(monkeypatch, "127.0.0.1")
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", port)):
        assert "in time" in why()
    assert time.monotonic() - began < 30
