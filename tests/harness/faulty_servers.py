"""HTTP servers on a port of their own, one correct and the others faulty: a load must find every lost request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BLUE = b'{"color":"blue"}'


class Correct(BaseHTTPRequestHandler):
    """Answers correctly. Each faulty server changes one part of this class."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer goes out in one piece

    def do_GET(self) -> None:
        self.answer(BLUE)

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Chunked(Correct):
    """Two chunks, one with an extension, and a trailer."""

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk, extension in ((body[:7], b""), (body[7:], b";name=value")):
            self.wfile.write(b"%X%s\r\n%s\r\n" % (len(chunk), extension, chunk))
        self.wfile.write(b"0\r\nTrailer: x\r\n\r\n")


class Announcing(Correct):
    """Closes after every answer, and says so."""

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Silent(Correct):
    """Closes the connection after every answer without a word, as a reloaded nginx does to idle connections."""

    def answer(self, body: bytes) -> None:
        super().answer(body)
        self.close_connection = True


class WrongEcho(Correct):
    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"]))[::-1])


class OldEcho(Correct):
    """Gives every client the body of another request, like a proxy that mixes up its connections."""

    bodies = (b"",)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        OldEcho.bodies, old = (body,), OldEcho.bodies[0]
        self.answer(old)


class NotJson(Correct):
    def do_GET(self) -> None:
        self.answer(b"welcome to nginx")


class NoColor(Correct):
    def do_GET(self) -> None:
        self.answer(b"[1]")


class Raw(Correct):
    """Sends `sent` as the answer, and closes."""

    sent = b""

    def answer(self, body: bytes) -> None:
        self.wfile.write(self.sent)
        self.close_connection = True


class Sick(Correct):
    """Answers 500 with a complete body, and keeps the connection."""

    def answer(self, body: bytes) -> None:
        self.send_response(500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing the server waits for every connection
    connections = 0

    def process_request(self, request: object, client_address: object) -> None:
        self.connections += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]


@contextmanager
def serving(handler: type[Correct]) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
