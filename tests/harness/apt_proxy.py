"""The only way out of a test server: an HTTP proxy on its loopback that forwards to the Debian mirror alone.

The proxy listens in the server's network namespace and sends its requests from the host's. So the host needs no
forwarding and no firewall rule, and no firewall of the host is in the way.
"""

import ctypes
import http.client
import http.server
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.image import APT_PROXY, mirror

CLONE_NEWNET = 0x40000000
REQUEST_HEADERS = ("If-Modified-Since", "Range", "If-Range", "Cache-Control")
ANSWER_HEADERS = ("Content-Length", "Content-Range", "Content-Type", "Last-Modified", "ETag")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    def do_GET(self) -> None:
        scheme, _, host = mirror().partition("://")
        if not self.path.startswith(f"http://{host}/") or "/../" in self.path:
            self.send_error(403, "only the Debian mirror")
            return
        headers = {name: self.headers[name] for name in REQUEST_HEADERS if name in self.headers}
        request = urllib.request.Request(f"{scheme}://{self.path.removeprefix('http://')}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self.pass_on(answer)
        except urllib.error.HTTPError as error:
            error.close()
            self.send_response(error.code)
            self.send_header("Content-Length", "0")
            self.end_headers()
        except OSError as error:
            self.send_error(502, str(error))

    def pass_on(self, answer: http.client.HTTPResponse) -> None:
        self.send_response(answer.status)
        for name in ANSWER_HEADERS:
            if value := answer.headers[name]:
                self.send_header(name, value)
        if not answer.headers["Content-Length"]:
            self.send_header("Connection", "close")
        self.end_headers()
        try:
            shutil.copyfileobj(answer, self.wfile)
        except OSError:
            self.close_connection = True  # the answer was cut off, so apt asks again

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass


def serve(namespace: Path) -> None:
    """Serves until this process ends."""
    with inside(namespace):
        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", APT_PROXY), Handler)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()


@contextmanager
def inside(namespace: Path) -> Iterator[None]:
    """Moves this thread to another network namespace. A socket that is opened there stays there."""
    with Path("/proc/thread-self/ns/net").open() as home:
        enter(namespace)
        try:
            yield
        finally:
            enter(Path(f"/proc/self/fd/{home.fileno()}"))


def enter(namespace: Path) -> None:
    with namespace.open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
