"""Visitors over HTTPS who lose no request: over a kept connection, over HTTP/2, and over a new one each time."""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset

from harness.in_flight import over_tls
from harness.world import PATIENCE_S, wait_until

_PAUSE_S = 0.005


@dataclass
class Tally:
    """`asked` counts answered requests of each kind, `lost` says why others had no answer."""

    asked: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def wait_for(self, more: int) -> None:
        """Until each kind has asked so many times more."""
        wanted = {kind: count + more for kind, count in self.asked.items()}
        wait_until(lambda: bool(self.lost) or all(self.asked[kind] >= count for kind, count in wanted.items()))


def serial(address: str, ca: Path, name: str) -> str:
    """That of the certificate which a new visitor gets."""
    with socket.create_connection((address, 443), PATIENCE_S) as plain, over_tls(plain, ca, name) as line:
        return str((line.getpeercert() or {})["serialNumber"])


@contextmanager
def tls_visitors(address: str, ca: Path, name: str) -> Iterator[Tally]:
    kinds = {"kept": _kept, "new": _new, "http2": _http2}
    tally, over = Tally(dict.fromkeys(kinds, 0)), threading.Event()

    def visit(kind: str, client: Callable[[Callable[[bool], ssl.SSLSocket], str], Iterator[None]]) -> None:
        def connect(http2: bool) -> ssl.SSLSocket:
            plain = socket.create_connection((address, 443), PATIENCE_S)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return over_tls(plain, ca, name, http2)

        try:
            for _ in client(connect, name):
                tally.asked[kind] += 1
                if over.wait(_PAUSE_S):
                    return
        except (OSError, http.client.HTTPException, AssertionError) as error:
            tally.lost.append(f"{kind}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=visit, args=row) for row in kinds.items()]
    for thread in threads:
        thread.start()
    try:
        tally.wait_for(3)
        yield tally
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _kept(connect: Callable[[bool], ssl.SSLSocket], name: str) -> Iterator[None]:
    """As a client does, it connects anew where the server says that it closes."""
    while True:
        with closing(http.client.HTTPConnection(name)) as line:
            line.sock = connect(False)
            closes = False
            while not closes:
                line.request("GET", "/", headers={"Host": name})
                answer = line.getresponse()
                answer.read()
                assert answer.status == 200
                closes = answer.getheader("Connection") == "close"
                yield


def _new(connect: Callable[[bool], ssl.SSLSocket], name: str) -> Iterator[None]:
    while True:
        with connect(False) as line:
            line.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(partial(line.recv, 65536), b""))
            assert answer.startswith(b"HTTP/1.1 200 "), answer[:80]
        yield


def _http2(connect: Callable[[bool], ssl.SSLSocket], name: str) -> Iterator[None]:
    while True:
        with connect(True) as line:
            assert line.selected_alpn_protocol() == "h2"
            http2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
            http2.initiate_connection()
            for _ in range(500):  # nginx closes a connection after 1,000
                stream = http2.get_next_available_stream_id()
                words = {":method": "GET", ":path": "/", ":scheme": "https", ":authority": name}
                http2.send_headers(stream, list(words.items()), end_stream=True)
                _answered(line, http2)
                yield


def _words(event: ResponseReceived) -> list[tuple[object, object]]:
    return [(name, value) for name, value in event.headers or ()]


def _answered(line: ssl.SSLSocket, http2: H2Connection) -> None:
    while True:
        line.sendall(http2.data_to_send())
        data = line.recv(65536)
        assert data, "the connection ended before the answer"
        for event in http2.receive_data(data):
            assert not isinstance(event, StreamReset)
            if isinstance(event, ResponseReceived):
                assert (":status", "200") in _words(event)
            elif isinstance(event, DataReceived):
                http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                line.sendall(http2.data_to_send())
                return
