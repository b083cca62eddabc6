"""A probe always returns: with an answer, or with the reason why no answer came."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.certificates import Authority
from teal_host.ground.http_probe import MAX_ANSWER, NoAnswer, ProbeRequest, ProbeResponse, http_get, json_differs

Serve = Callable[[socket.socket], None]
HEAD = b"HTTP/1.1 200 OK\r\n"
MUCH_LATER_S = 240  # far more than any deadline here, so that a probe without a deadline fails the test


@contextmanager
def serving(serve: Serve) -> Iterator[tuple[str, int]]:
    """Serves one connection, after reading the request."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(MUCH_LATER_S)

        def run() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    _request(connection)
                    serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield server.getsockname()[:2]
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    return request


def saying(answer: bytes) -> Serve:
    return lambda connection: connection.sendall(answer)


def asked(serve: Serve, timeout_s: float = 20, **more: Any) -> ProbeResponse:
    with serving(serve) as address:
        return http_get(ProbeRequest(address, more.pop("path", "/healthz"), "shop.test", timeout_s=timeout_s, **more))


def refused(serve: Serve, timeout_s: float = 20) -> NoAnswer:
    with pytest.raises(NoAnswer) as none:
        asked(serve, timeout_s)
    return none.value


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (HEAD + b"Content-Length: 2\r\n\r\nok", 200, b"ok"),
        (HEAD + b"\r\nuntil the end", 200, b"until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", 200, b"old"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3;x=y\r\nay!\r\n0\r\n\r\n", 200, b"okay!"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", 500, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok", 200, b"ok"),
        (HEAD + b"Content-Length: 2\r\n\r\nok and more than was announced", 200, b"ok"),
        (HEAD + b"\r\n" + b"x" * MAX_ANSWER, 200, b"x" * MAX_ANSWER),
    ],
)
def test_probe_reads_a_whole_response(sent: bytes, status: int, body: bytes) -> None:
    answer = asked(saying(sent))
    assert (answer.status, answer.body) == (status, body)


def test_probe_does_not_follow_a_redirect() -> None:
    answer = asked(saying(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"))
    assert (answer.status, answer.headers["location"]) == (302, "http://169.254.169.254/")


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"", "is not HTTP (it ended before it began)"),
        (b"\x16\x03\x01", "is not HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "is not HTTP (no status line)"),
        (b"HTTP/1.1 abc\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 99999 OK\r\n\r\n", "is not HTTP"),
        (HEAD + b"X: " + b"x" * 70_000, "is not HTTP (a line is too long)"),
        (HEAD + b"X: y\r\n" * 30_000 + b"\r\n", "is not HTTP (its headers do not end within 64 KiB)"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "is not HTTP"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n", "is not HTTP (no size of a chunk)"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n", "is not HTTP (a chunk is cut off)"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "is not HTTP (no size of a chunk)"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n10\r\ncut", "is not HTTP (a chunk is cut off)"),
        (HEAD + b"Content-Length: 10\r\n\r\ncut", "was cut off"),
        (HEAD + b"Content-Length: 10\r\n\r\n", "was cut off"),
    ],
)
def test_probe_says_what_is_wrong_with_an_incomplete_or_malformed_response(sent: bytes, why: str) -> None:
    none = refused(saying(sent))
    assert why in str(none)
    assert not none.refused


def hanging(begin: bytes = b"") -> Serve:
    def serve(connection: socket.socket) -> None:
        connection.sendall(begin)
        connection.settimeout(MUCH_LATER_S)
        connection.recv(1)

    return serve


def forever(piece: bytes, begin: bytes = b"", every_s: float = 0.0) -> Serve:
    def serve(connection: socket.socket) -> None:
        connection.sendall(begin)
        until = time.monotonic() + MUCH_LATER_S
        while time.monotonic() < until:
            connection.sendall(piece)
            time.sleep(every_s)

    return serve


@pytest.mark.parametrize(
    "serve",
    [
        hanging(),
        hanging(HEAD + b"Content-Length: 9\r\n\r\nx"),
        forever(b"H", every_s=0.02),
        forever(b"x", HEAD, every_s=0.02),
        forever(b"x", HEAD + b"\r\n", every_s=0.02),
        forever(b"x", HEAD + b"Content-Length: 60000\r\n\r\n", every_s=0.02),
        forever(b"1\r\nx\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n", every_s=0.02),
        forever(b"HTTP/1.1 100 Continue\r\n\r\n", every_s=0.001),
    ],
    ids=[
        "nothing",
        "a part",
        "drips a status",
        "drips a header",
        "drips",
        "drips announced",
        "drips chunks",
        "continue",
    ],
)
def test_probe_gives_up_at_its_deadline_when_the_response_stalls_or_drips(serve: Serve) -> None:
    began = time.monotonic()
    none = refused(serve, timeout_s=0.3)
    assert "no whole answer within 0.3 s" in str(none)
    assert 0.25 < time.monotonic() - began < MUCH_LATER_S / 2


@pytest.mark.parametrize(
    "begin",
    [
        HEAD + b"\r\n",
        HEAD + b"Content-Length: 9999999999\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["until the end", "announced", "chunks"],
)
def test_probe_stops_reading_at_64_kib_and_finds_no_fault_in_a_longer_answer(begin: bytes) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n" if b"chunked" in begin else b"x" * 65536
    answer = asked(forever(chunk, begin))
    assert (answer.status, answer.body, answer.is_whole) == (200, b"x" * MAX_ANSWER, False)
    assert json_differs(answer, None) is None
    assert json_differs(answer, {"a": 1}) == "the answer does not end within 64 KiB"


def test_probe_reads_as_many_headers_as_nginx_passes_on() -> None:
    many = b"".join(b"Set-Cookie: a%d=b\r\n" % number for number in range(800))
    assert asked(saying(HEAD + many + b"Content-Length: 2\r\n\r\nok")).body == b"ok"


def test_probe_tells_a_refused_connection_from_other_failures() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()[:2]
    with pytest.raises(NoAnswer, match="refused") as none:
        http_get(ProbeRequest(address, "/", "shop.test", timeout_s=20))
    assert none.value.refused


def test_probe_reports_a_reset_as_a_broken_connection() -> None:
    def reset(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    none = refused(reset)
    assert ("the connection broke" in str(none), none.silent) == (True, False)


@pytest.mark.parametrize(
    ("serve", "is_silent"), [(lambda connection: None, False), (lambda connection: connection.recv(1), True)]
)
def test_probe_tells_silence_from_a_server_that_closes_the_connection(serve: Serve, is_silent: bool) -> None:
    """nginx closes it for names that it does not know (`return 444`), and hangs where it is stopped."""
    assert refused(serve, 0.5).silent == is_silent


def test_probe_sends_the_given_request_and_ignores_proxy_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            connection, _ = server.accept()
            with connection:
                seen.append(_request(connection))
                connection.sendall(HEAD + b"Content-Length: 0\r\n\r\n")

        thread = threading.Thread(target=run)
        thread.start()
        http_get(ProbeRequest(server.getsockname()[:2], "/a?b=c", "shop.test", (("X-Teal-Probe", "t"),), 20))
        thread.join()
    lines = seen[0].decode().split("\r\n")
    assert lines[0] == "GET /a?b=c HTTP/1.1"
    assert {"Host: shop.test", "X-Teal-Probe: t", "Connection: close"} <= set(lines)
    assert lines[-2:] == ["", ""]


def test_probe_result_shows_a_printable_beginning_of_the_body() -> None:
    assert ProbeResponse(200, {}, b" \x1b[31mred\x00\xff\n" + b"x" * 300).beginning.startswith(" [31mred \ufffd xxx")
    assert len(ProbeResponse(200, {}, b"x" * 300).beginning) == 200


@pytest.mark.parametrize(
    ("body", "wanted", "difference"),
    [
        (b"", None, None),
        (b'{"a": 1, "b": 2}', {"a": 1}, None),
        (b'{"a": {"b": [1, null]}}', {"a": {"b": [1, None]}}, None),
        (b"{}", {}, None),
        (b'{"a": 1}', {"a": 2}, '"a" is 1, expected 2'),
        (b'{"a": "1"}', {"a": 1}, '"a" is "1", expected 1'),
        (b'{"a": true}', {"a": 1}, '"a" is true, expected 1'),
        (b'{"a": 1}', {"a": True}, '"a" is 1, expected true'),
        (b'{"a": {"b": 1, "c": 2}}', {"a": {"b": 1}}, '"a" is {"b": 1, "c": 2}, expected {"b": 1}'),
        (b"{}", {"a": None}, '"a" is not in the answer'),
        (b"[]", {"a": 1}, "the answer is not a JSON object"),
        (b"null", {}, "the answer is not a JSON object"),
        (b"<html>", {"a": 1}, "the answer is not JSON"),
        (b"\xff", {"a": 1}, "the answer is not JSON"),
        (b"[" * 60_000, {"a": 1}, "the answer is not JSON"),
        (b'{"a": 1', {"a": 1}, "the answer is not JSON"),
    ],
)
def test_json_comparison_checks_only_the_expected_keys(
    body: bytes, wanted: dict[str, Any] | None, difference: str | None
) -> None:
    assert json_differs(ProbeResponse(200, {}, body), wanted) == difference


def test_json_difference_is_short_when_the_values_are_long() -> None:
    response = ProbeResponse(200, {}, json.dumps({"a": "x" * 60_000}).encode())
    difference = json_differs(response, {"a": "y" * 60_000})
    assert difference is not None
    assert len(difference) < 300


def test_probe_over_tls_judges_no_certificate_and_says_whom_it_asks_for(tmp_path: Path) -> None:
    chain, key = Authority(tmp_path).sign("elsewhere.test", dates=("-days", "0"))
    (tmp_path / "both.pem").write_text(chain + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    asked: list[str | None] = []
    context.sni_callback = lambda _connection, name, _context: asked.append(name)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_answer_over_tls, args=(listening, context))
        thread.start()
        answer = http_get(ProbeRequest(listening.getsockname(), "/", "shop.test", timeout_s=30, encrypted=True))
        thread.join()
    assert (answer.status, answer.body, asked) == (200, b"well", ["shop.test"])


def _answer_over_tls(listening: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listening.accept()
    with context.wrap_socket(connection, server_side=True) as encrypted:
        encrypted.recv(65536)
        encrypted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell")


def test_probe_over_tls_of_what_speaks_none_has_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_answer_plainly, args=(listening,))
        thread.start()
        with pytest.raises(NoAnswer):
            http_get(ProbeRequest(listening.getsockname(), "/", "shop.test", timeout_s=30, encrypted=True))
        thread.join()


def _answer_plainly(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
