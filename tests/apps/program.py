"""The program that tests deploy: a small HTTP server with every fault that a health check must name.

tests/harness/world.py writes BEHAVIOUR in front of this text, so that every version is a different artifact.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BEHAVIOUR: dict[str, Any] = globals().get("BEHAVIOUR", {})
BEGAN = time.monotonic()
ASKED = [0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *ignored: Any) -> None:
        return

    def do_GET(self) -> None:
        if BEHAVIOUR.get("only_https") and self.headers.get("x-forwarded-proto") != "https":
            self.send_response(301)
            self.send_header("Location", f"https://{self.headers.get('host')}{self.path}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        whole: dict[str, Callable[[], None]] = {"/healthz": self.health, "/stream": self.stream} | dict.fromkeys(
            BEHAVIOUR.get("raw", {}), self.raw
        )
        if self.path in whole:
            return whole[self.path]()
        if self.path in ("/env", "/headers"):
            return self.answer(200, self.told())
        if self.path == "/write":
            with open(os.path.join(os.environ["DATA_DIR"], "kept"), "a") as file:
                file.write(BEHAVIOUR.get("version", "") + "\n")
        while self.path == "/slow" and not Path(BEHAVIOUR["slow_until"]).exists():
            time.sleep(0.02)
        if self.path == "/exit" and not BEHAVIOUR.get("stays"):
            os._exit(3)
        if self.path in ("/take", "/leak"):  # takes some memory, or takes memory until the kernel kills the program
            take(32 if self.path == "/take" else 1024)
        if self.path == "/break":  # from now on the program fails its visitors, but not its health check
            BEHAVIOUR["root_500"] = True
        if self.path == "/sicken":
            BEHAVIOUR["health"] = 500
        if self.path in ("/write", "/kept"):
            with open(os.path.join(os.environ["DATA_DIR"], "kept")) as file:
                return self.answer(200, {"kept": file.read().split()})
        refused = dict.fromkeys(BEHAVIOUR.get("missing", []), 404)
        refused |= dict.fromkeys(BEHAVIOUR.get("bad_gateway", []), 502)
        refused |= dict.fromkeys(("/fail", *BEHAVIOUR.get("fails", [])), 500)
        if self.path in refused:
            return self.answer(refused[self.path], {"message": "not found"})
        facts = {"version": BEHAVIOUR.get("version"), "color": os.environ["COLOR"], "release": os.environ["RELEASE"]}
        facts.update({"page": "x" * BEHAVIOUR["page"]} if "page" in BEHAVIOUR else {})
        return self.answer(500 if BEHAVIOUR.get("root_500") else 200, {**facts, "pid": os.getpid()})

    def do_HEAD(self) -> None:
        self.answer_raw(200, b"", "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.answer_raw(200, body, self.headers.get("content-type") or "text/plain")

    def health(self) -> None:
        ASKED[0] += 1
        if ASKED[0] == BEHAVIOUR.get("exits_when_asked"):
            os._exit(3)
        if "health_sequence" in BEHAVIOUR:  # the last status is repeated
            row = BEHAVIOUR["health_sequence"]
            return self.answer(row[min(ASKED[0] - 1, len(row) - 1)], {"message": "ok"})
        if "flaps" in BEHAVIOUR:
            return self.answer(200 if ASKED[0] % BEHAVIOUR["flaps"] else 500, {"message": "ok"})
        up_s = time.monotonic() - BEGAN
        is_sick = up_s > BEHAVIOUR.get("sick_after", 1e9) or Path(BEHAVIOUR.get("sick_when", "")).is_file()
        if is_sick or up_s < BEHAVIOUR.get("warms_up", 0):
            return self.answer(500 if is_sick else 503, {"message": "sick" if is_sick else "warms up"})
        if "redirects" in BEHAVIOUR:
            self.send_response(302)
            self.send_header("Location", BEHAVIOUR["redirects"])
            self.send_header("Content-Length", "0")
            return self.end_headers()
        time.sleep(BEHAVIOUR.get("slow", 0))
        if BEHAVIOUR.get("hangs"):
            time.sleep(3600)
        if BEHAVIOUR.get("endless"):
            return self.endless(BEHAVIOUR["endless"])
        return self.answer(BEHAVIOUR.get("health", 200), BEHAVIOUR.get("health_json", {"message": "ok"}))

    def endless(self, how: str) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x" * (1 if how == "drip" else 65536))
                time.sleep(0.05 if how == "drip" else 0)
        except OSError:
            self.close_connection = True

    def told(self) -> dict[str, str]:
        if self.path == "/env":
            return dict(os.environ)
        return {name.lower(): value for name, value in self.headers.items()}

    def raw(self) -> None:
        """Sends these bytes alone, and ends the connection."""
        self.close_connection = True
        self.wfile.write(BEHAVIOUR["raw"][self.path].encode())

    def stream(self) -> None:
        """Sends events without end."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for number in range(100_000):
                self.wfile.write(f"data: {BEHAVIOUR.get('version')} {number}\n\n".encode())
                time.sleep(0.05)
        except OSError:
            return

    def answer(self, status: int, value: Any) -> None:
        self.answer_raw(status, json.dumps(value).encode(), "application/json")

    def answer_raw(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("X-Color", os.environ.get("COLOR", ""))
        self.send_header("X-Release", os.environ.get("RELEASE", ""))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    address_family = socket.AF_INET6 if ":" in BEHAVIOUR.get("bind", "") else socket.AF_INET


HELD: list[bytes] = []


def take(megabytes: int) -> None:
    """Takes memory and never gives it back."""
    for _ in range(megabytes):
        HELD.append(b"x" * (1 << 20))


def end_slowly(*ignored: Any) -> None:
    """On SIGTERM, first finishes some work."""
    print("told to end", flush=True)
    while not Path(BEHAVIOUR["ends_when"]).exists():
        time.sleep(0.02)
    print("has ended by itself", flush=True)
    os._exit(0)


def work() -> None:
    """A background job that writes one line at a time."""
    while True:
        with open(os.path.join(os.environ["DATA_DIR"], "worked"), "a") as file:
            file.write(f"{os.environ['COLOR']}\n")
        time.sleep(0.02)


def not_http(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            connection, _ = server.accept()
            connection.sendall(b"SSH-2.0-NotHTTP\r\n")
            connection.close()


def also_listen(port: int) -> None:
    """A second listener, as for metrics."""
    try:
        second = Server((BEHAVIOUR.get("bind", "127.0.0.1"), port), Handler)
    except OSError as error:
        sys.exit(f"listen on {port}: {error}")
    threading.Thread(target=second.serve_forever, daemon=True).start()


def miss_something() -> None:
    """Ends with a message if anything that the program needs is missing."""
    if "needs" in BEHAVIOUR and BEHAVIOUR["needs"] not in os.environ:
        sys.exit(f"{BEHAVIOUR['needs']} is missing")
    if Path(BEHAVIOUR.get("exits_if", "")).is_file():
        sys.exit(f"{BEHAVIOUR['exits_if']} is in the way")
    if BEHAVIOUR.get("writes_first"):
        try:
            (Path(os.environ["DATA_DIR"]) / "kept").open("a").close()
        except OSError as error:
            sys.exit(f"cannot write its data: {error}")


def before_serving() -> None:
    print(
        f"version {BEHAVIOUR.get('version')} starts on {os.environ.get('PORT', os.environ.get('SOCKET'))}", flush=True
    )
    for line in BEHAVIOUR.get("says", []):
        print(line, flush=True)
    if "shouts" in BEHAVIOUR:  # this many lines of this many characters
        count, length = BEHAVIOUR["shouts"]
        for number in range(count):
            print(f"{number:0{length}}")
        sys.stdout.flush()
    if BEHAVIOUR.get("child"):  # a child in its own session that ignores SIGTERM
        deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
        subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True)
    if BEHAVIOUR.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "exits" in BEHAVIOUR:
        sys.exit(BEHAVIOUR["exits"])
    if "killed" in BEHAVIOUR:
        os.kill(os.getpid(), BEHAVIOUR["killed"])
    miss_something()
    if "ends_when" in BEHAVIOUR:
        signal.signal(signal.SIGTERM, end_slowly)
    if BEHAVIOUR.get("works"):
        threading.Thread(target=work, daemon=True).start()
    if BEHAVIOUR.get("never_listens"):
        time.sleep(3600)
    while "waits_for" in BEHAVIOUR and not Path(BEHAVIOUR["waits_for"]).exists():
        time.sleep(0.02)
    time.sleep(BEHAVIOUR.get("starts_after", 0))


class SocketServer(Server):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        os.umask(BEHAVIOUR.get("umask", os.umask(0)))
        self.socket.bind(os.environ["SOCKET"])
        exec(BEHAVIOUR.get("once_bound", ""))
        self.server_name, self.server_port = "", 0

    def get_request(self) -> Any:
        return self.socket.accept()[0], ("", 0)


def main() -> None:
    before_serving()
    if "SOCKET" in os.environ:
        SocketServer((os.environ["SOCKET"], 0), Handler).serve_forever()
    port = int(os.environ["PORT"]) + BEHAVIOUR.get("port_off_by", 0)
    if BEHAVIOUR.get("not_http"):
        not_http(port)
    if "exits_after" in BEHAVIOUR:
        threading.Timer(BEHAVIOUR["exits_after"], lambda: os._exit(3)).start()
    if "also_on" in BEHAVIOUR:
        also_listen(int(os.environ.get(BEHAVIOUR["also_on"], BEHAVIOUR["also_on"])))
    Server((BEHAVIOUR.get("bind", "127.0.0.1"), port), Handler).serve_forever()


if __name__ == "__main__":
    main()
