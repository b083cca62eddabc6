"""Walks of the hints of a visit: what to do where the URL does not lead visitors to the app.

The app runs behind a real nginx of this machine. Stand-ins: a name server, the way to the address of the server, and
what visitors meet before they come to nginx. tests/server/test_doctor.py has a firewall and another site.
"""

import contextlib
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.world import App
from hints.collect import pattern
from hints.test_reaching import program, serves
from teal.config import load
from teal.ground.visitor import visit
from teal.stories import entrance, queries

SERVER = "93.184.216.34"
FRONT = "127.0.0.2"  # what stands before the server, on the same port
MOVED = b"HTTP/1.1 301 Moved\r\nLocation: %b\r\nConnection: close\r\n\r\n"


@dataclass
class Front:
    """What visitors meet, connection by connection. The last of `meets` passes visitors on to nginx."""

    port: int
    meets: list[Callable[[socket.socket], None]] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                with listener.accept()[0] as visitor:
                    visitor.settimeout(5)
                    with contextlib.suppress(OSError):
                        self.meets.pop(0)(visitor) if self.meets else self.passes_on(visitor)

    def passes_on(self, visitor: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self.port), 5) as nginx:
            nginx.sendall(visitor.recv(65536))
            while piece := nginx.recv(65536):
                visitor.sendall(piece)

    def says(self, answer: bytes) -> Callable[[socket.socket], None]:
        def meet(visitor: socket.socket) -> None:
            visitor.recv(65536)
            visitor.sendall(answer)

        return meet

    def hangs(self, visitor: socket.socket) -> None:
        while visitor.recv(65536):
            pass  # until the visitor has enough

    def encrypted(self, certificate: Path) -> Callable[[socket.socket], None]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

        def meet(visitor: socket.socket) -> None:
            with context.wrap_socket(visitor, server_side=True) as encrypted:
                self.passes_on(encrypted)

        return meet


@dataclass
class Visits:
    shop: App
    names: dict[str, str]  # the name server
    front: Front

    def rows(self) -> dict[str, Any]:
        """What the doctor says about the domains, and about the URL."""
        report = queries.doctor(load(self.shop.directory))
        return {row.what: row for row in report.findings if row.what in ("domains", "url")}

    def hint(self, text: str) -> str:
        row = self.rows()["url"]
        assert row.state == "warning"
        assert pattern(text).fullmatch(row.hint), row
        return str(row.hint)

    def is_well(self) -> None:
        assert {what: row.state for what, row in self.rows().items()} == {"domains": "ok", "url": "ok"}


@pytest.fixture
def visits(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visits]:
    app.world.path = str(app.world.home / "programs")
    Path(app.world.path).mkdir()
    program(
        app,
        "ssh",
        f"import sys; sys.path.insert(0, {str(Path(entrance.__file__).parents[2])!r})\n"
        f"from teal_host.ground import sockets\nsockets.addresses = lambda: [{SERVER!r}]\n{serves(app)}",
    )
    app.config(server={"target": "ssh://me@shop", "domains": ["shop.test"]})
    app.deploy().ok()
    front = Front(app.ports[0])
    made = Visits(app, {"shop.test": SERVER}, front)
    resolve, connect = socket.getaddrinfo, socket.create_connection

    def getaddrinfo(host: str, *more: Any, **named: Any) -> Any:
        if host.endswith(".test") and host not in made.names:
            raise socket.gaierror(-2, "Name or service not known")
        return resolve(made.names.get(host, host), *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(
        socket, "create_connection", lambda at, timeout: connect((at[0].replace(SERVER, FRONT), at[1]), timeout)
    )
    monkeypatch.setattr(entrance, "visit", partial(visit, within_s=1.0))
    monkeypatch.setenv("PATH", app.world.env["PATH"])
    with socket.create_server((FRONT, app.ports[0])) as listener:
        threading.Thread(target=front.serve, args=(listener,), daemon=True).start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)


def make(visits: Visits, records: str) -> None:
    """Makes the records of the hint at the name server."""
    for name, kind, address in re.findall(r"(\S+) (A|AAAA) ([^\s,]+)", records):
        assert kind == "A"
        visits.names[name] = address


@pytest.mark.hint("add to its DNS: {}", "{} leads to {}; without a CDN there, make it {}")
def test_hints_on_a_name_make_it_lead_to_the_server(visits: Visits) -> None:
    del visits.names["shop.test"]
    rows = visits.rows()
    assert rows["domains"].hint == rows["url"].hint
    make(visits, visits.hint("add to its DNS: {}"))
    visits.is_well()
    visits.names["shop.test"] = "127.0.0.3"
    make(visits, visits.hint("{} leads to {}; without a CDN there, make it {}").partition("make it ")[2])
    visits.is_well()


@pytest.mark.hint(
    "is that host yours? then all is well; else take that redirect away", "does another program listen there?"
)
def test_hints_on_what_stands_before_the_server_name_it(visits: Visits) -> None:
    visits.front.meets.append(visits.front.says(MOVED % b"http://other.test/"))
    visits.hint("is that host yours? then all is well; else take that redirect away")
    visits.is_well()
    visits.front.meets.append(visits.front.says(b"SSH-2.0-OpenSSH_9.2\r\n"))
    visits.hint("does another program listen there?")
    visits.is_well()


@pytest.mark.hint("does the program hang? teal logs")
def test_hint_on_a_program_that_hangs_shows_its_words(visits: Visits) -> None:
    visits.front.meets.append(visits.front.hangs)
    hint = visits.hint("does the program hang? teal logs")
    visits.shop.teal(*hint.partition("? teal ")[2].split()).ok()
    visits.is_well()


@pytest.mark.hint("renew the certificate")
def test_hint_on_a_certificate_is_to_renew_it(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (certificate(visits.shop.world.home / name) for name in ("old.pem", "new.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(new))
    moved = visits.front.says(MOVED % f"https://shop.test:{visits.shop.ports[0]}/".encode())
    visits.front.meets += [moved, visits.front.encrypted(old)]
    visits.hint("renew the certificate")
    visits.front.meets += [moved, visits.front.encrypted(new)]
    visits.is_well()


def certificate(path: Path) -> Path:
    """A certificate that signs itself, with its key in the same file."""
    names = ["-subj", "/CN=shop.test", "-addext", "subjectAltName=DNS:shop.test"]
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *names]
    subprocess.run([*argv, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True, timeout=60)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path
