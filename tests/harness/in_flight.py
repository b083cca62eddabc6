"""Requests that are under way while something happens: uploads of which the second half comes later.

tests/apps/program.py echoes an upload, and says which color and release it is.
"""

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from socket import socket

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded

FIRST, SECOND = b"first half, ", b"second half"
Answer = Mapping[str, str]  # the headers by their names in lower case, and `:status`
Finish = Callable[[], Answer]
_SETTINGS = H2Configuration(client_side=True, header_encoding="utf-8")


def over_tls(connection: socket, ca: Path, host: str, http2: bool = False) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(ca))
    context.set_alpn_protocols(["h2" if http2 else "http/1.1"])
    return context.wrap_socket(connection, server_hostname=host)


def begin(connection: socket, host: str) -> Finish:
    """Sends the first half. The result sends the second one and returns the answer."""
    speaks_http2 = isinstance(connection, ssl.SSLSocket) and connection.selected_alpn_protocol() == "h2"
    return _begin_http2(connection, host) if speaks_http2 else _begin_http1(connection, host)


def _begin_http1(connection: socket, host: str) -> Finish:
    head = f"POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {len(FIRST + SECOND)}\r\n\r\n"
    connection.sendall(head.encode() + FIRST)

    def finish() -> Answer:
        with connection:
            connection.sendall(SECOND)
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert body == FIRST + SECOND, f"{type(connection).__name__}: {answer!r}"
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return {":status": status.split()[1], **{name.lower(): value for name, value in headers.items()}}

    return finish


def _begin_http2(connection: socket, host: str) -> Finish:
    state = H2Connection(_SETTINGS)
    state.initiate_connection()
    stream = state.get_next_available_stream_id()
    names = [(":method", "POST"), (":path", "/"), (":scheme", "https"), (":authority", host)]
    state.send_headers(stream, [*names, ("content-length", str(len(FIRST + SECOND)))])
    state.send_data(stream, FIRST)
    connection.sendall(state.data_to_send())

    def finish() -> Answer:
        events: list[Event] = []
        with connection:
            state.send_data(stream, SECOND, end_stream=True)
            connection.sendall(state.data_to_send())
            while not any(isinstance(event, StreamEnded) for event in events):
                received = connection.recv(65536)
                assert received, f"the connection was closed without an answer: {events}"
                events += state.receive_data(received)
                connection.sendall(state.data_to_send())
        assert b"".join(event.data or b"" for event in events if isinstance(event, DataReceived)) == FIRST + SECOND
        (head,) = [event for event in events if isinstance(event, ResponseReceived)]
        return {str(name): str(value) for name, value in head.headers or ()}

    return finish
