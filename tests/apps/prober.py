"""A program that runs the Python code in each request, as a hostile program could, and replies with the result."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_to_bytes

SEEN: list[str] = []  # the cookies of whoever asked


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *ignored: Any) -> None:
        return

    def parse_request(self) -> bool:
        good = super().parse_request()
        if good and len(SEEN) < 100_000:
            SEEN.append(self.headers.get("Cookie", ""))
        return good

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/raw":  # the bytes of the query, and nothing else
            self.wfile.write(unquote_to_bytes(query))
            return
        if path == "/slow":
            time.sleep(1)
        facts = {"message": "ok", "color": os.environ["COLOR"], "argv": sys.argv, "env": dict(os.environ)}
        self.answer({**facts, "pid": os.getpid()})

    def do_POST(self) -> None:
        """Takes a table of names and code. The code sets `told` to its result."""
        tries = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.answer({name: tried(code) for name, code in tries.items()})

    def answer(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def tried(code: str) -> Any:
    names: dict[str, Any] = {"told": "done"}
    try:
        exec(code, names)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return names["told"]


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
