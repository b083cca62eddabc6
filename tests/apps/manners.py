"""A program that shows what nginx does with a request: it echoes, streams, counts and hangs up.

`/raw` answers with the bytes of its query, and `/large` with 30 MB. `/sse` and
`/chunks` send a first part at once, and a second part only after a request to `/next`. `/count` counts every id that
arrives. If IDLE_S is set, the program closes a connection that is idle for so long after its first request.
"""

import base64
import hashlib
import json
import os
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_to_bytes

IDLE_S = float(os.environ["IDLE_S"]) if "IDLE_S" in os.environ else None
NEXT = threading.Event()
SEEN: Counter[str] = Counter()
LOCK = threading.Lock()
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def log_message(self, *ignored: Any) -> None:
        return

    def handle_one_request(self) -> None:
        self.connection.settimeout(IDLE_S if self.asked else None)
        super().handle_one_request()

    def parse_request(self) -> bool:
        self.asked += 1
        self.connection.settimeout(None)
        return super().parse_request()

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        known = {"/sse": self.sse, "/chunks": self.chunks, "/json-lines": self.json_lines, "/ws": self.websocket}
        known |= {"/raw": lambda: self.raw(unquote_to_bytes(query)), "/large": lambda: self.large(query)}
        if path in known:
            return known[path]()
        if path == "/next":
            NEXT.set()
        if path == "/text":
            return self.answer(b"teal " * (int(query) // 5), "text/plain")
        if path == "/big-header":
            return self.answer(b"", "text/plain", **{"X-Big": "x" * 12_000})
        if path == "/headers":
            return self.json([[name.lower(), value] for name, value in self.headers.items()])
        if path == "/ledger":
            return self.json(ledger())
        if path == "/count":
            with LOCK:
                SEEN[query] += 1
        facts = {name.lower(): os.environ[name] for name in ("COLOR", "RELEASE")}
        return self.json({"message": "ok", "pid": os.getpid(), **facts})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path.startswith("/count"):
            return self.do_GET()
        return self.json({"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()})

    do_PUT = do_DELETE = do_PATCH = do_POST

    def raw(self, answer: bytes) -> None:
        """Answers with these bytes and nothing else."""
        self.wfile.write(answer)
        self.close_connection = True

    def large(self, buffering: str) -> None:
        """Answers with 30 MB, as fast as nginx takes them."""
        self.send_response(200)
        self.send_header("X-Accel-Buffering", buffering)
        self.send_header("Content-Length", str(30 << 20))
        self.end_headers()
        for _ in range(30):
            self.wfile.write(bytes(1 << 20))

    def sse(self) -> None:
        self.stream("text/event-stream", b"data: one\n\n", b"data: two\n\n")

    def chunks(self) -> None:
        self.stream("application/octet-stream", b"one", b"two")

    def json_lines(self) -> None:
        self.stream("application/json", b'{"n": 1}\n', b'{"n": 2}\n')

    def stream(self, kind: str, first: bytes, second: bytes) -> None:
        NEXT.clear()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.chunk(first)
        NEXT.wait(30)
        self.chunk(second)
        self.chunk(b"")

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def websocket(self) -> None:
        """Echoes short text frames in capitals until the client closes."""
        key = hashlib.sha1(self.headers["sec-websocket-key"].encode() + MAGIC)
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(key.digest()).decode())
        self.end_headers()
        while head := self.rfile.read(2):
            mask = self.rfile.read(4)
            text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(head[1] & 127)))
            if head[0] & 15 == 8:
                break
            self.wfile.write(bytes([0x81, len(text)]) + text.upper())
        self.close_connection = True

    def json(self, value: Any) -> None:
        self.answer(json.dumps(value).encode(), "application/json")

    def answer(self, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def ledger() -> dict[str, int]:
    """Under the lock: a handler that another thread disturbs in its counting would end without an answer."""
    with LOCK:
        return {"ids": len(SEEN), "more_than_once": sum(times > 1 for times in SEEN.values())}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
