"""HTTPS on a real server, with the directives of docs/reference/teal-toml.md#https, read from there.

The certificate lies where certbot leaves it: links below /etc/letsencrypt/live to the files of the first issue.
"""

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import harness
from harness import Server
from harness.background import in_background
from harness.in_flight import Finish, begin, over_tls
from harness.world import REPO, App, at_server

NAME = "example.com"
HTTP2 = 8443
CHALLENGE = "/.well-known/acme-challenge/k3y-0f_the-CA"


@pytest.fixture(scope="module")
def server(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with harness.server(debian, tmp_path_factory.mktemp("server"), packages=["nginx", "sudo"]) as booted:
        yield booted


@pytest.fixture(scope="module")
def documented() -> list[list[str]]:
    """The directives of each example of the section, in its order."""
    text = (REPO / "docs/reference/teal-toml.md").read_text().split("\n## HTTPS\n")[1].split("\n## ")[0]
    examples = re.findall(r" *```toml\n(.*?)```", text, re.DOTALL)
    return [tomllib.loads(example)["proxy"]["directives"] for example in examples]


def configure(app: App, directives: list[str], previous_running: bool = True) -> None:
    app.config(
        server={"domains": [NAME]},
        proxy={"directives": directives},
        verify={"path": "/healthz", "json": None},
        keep={"drain_s": 60, "previous_running": previous_running},
    )


def certified(server: Server, folder: Path) -> Path:
    """Makes a self-signed certificate for NAME and its key, where certbot puts them."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl, for a certificate: apt-get install -y openssl")
    made = folder / "cert.pem", folder / "privkey.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"]
    argv += ["-addext", f"subjectAltName=DNS:{NAME}", "-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run(argv, capture_output=True, check=True, timeout=120)
    home = server.root / "etc/letsencrypt"
    for part in ("archive", "live"):
        (home / part / NAME).mkdir(parents=True)
        (home / part).chmod(0o700)
    for source, name in zip(made, ("fullchain", "privkey"), strict=True):
        (home / f"archive/{NAME}/{name}1.pem").write_text(source.read_text())
        (home / f"live/{NAME}/{name}.pem").symlink_to(f"../../archive/{NAME}/{name}1.pem")
    (home / f"archive/{NAME}/privkey1.pem").chmod(0o600)
    return made[0]


def ask(server: Server, path: str, ca: "Path | None" = None) -> "http.client.HTTPResponse":
    """Sends a request to the site by its name.

    With `ca`, uses HTTPS and trusts only this certificate. Follows no redirect.
    """
    line = http.client.HTTPConnection(server.address, 443 if ca else 80, timeout=120)
    if ca:
        plain = socket.create_connection((server.address, 443), timeout=120)
        line.sock = ssl.create_default_context(cafile=str(ca)).wrap_socket(plain, server_hostname=NAME)
    line.request("GET", path, headers={"Host": NAME, "Connection": "close"})
    return line.getresponse()


def told(answer: "http.client.HTTPResponse") -> dict[str, Any]:
    assert answer.status == 200
    value = json.loads(answer.read())
    assert isinstance(value, dict)
    return value


@pytest.mark.row("D17", "D18")
def test_https_works_with_the_directives_of_the_documentation(
    server: Server, documented: list[list[str]], tmp_path: Path
) -> None:
    app = at_server(tmp_path / "home", server).app("shop")

    def agree(directives: list[str]) -> None:
        configure(app, directives)
        app.teal("setup").ok()

    challenge, beside, redirected = documented
    agree(challenge)
    app.deploy().ok()
    answered(server)
    app.config(server={"domains": [NAME]}, proxy={"directives": beside}, verify={"path": None, "json": None})
    refused = app.teal("setup")
    assert (refused.code, "fullchain.pem" in refused.err) == (3, True)
    assert told(ask(server, "/"))["version"] == "v1"

    ca = certified(server, tmp_path)
    agree(beside)
    for scheme, how in (("http", None), ("https", ca)):
        assert told(ask(server, "/", how))["version"] == "v1"
        assert told(ask(server, "/headers", how))["x-forwarded-proto"] == scheme
    goes_on(app, server, ca)

    over_http2 = [*beside, f"listen {HTTP2} ssl http2;"]
    agree(over_http2)
    configure(app, over_http2, previous_running=False)
    requests_in_flight_end_before_their_release_is_stopped(app, server, ca)
    configure(app, over_http2)
    requests_in_flight_end_where_they_began(app, server, ca)

    agree(redirected)
    moved = ask(server, "/some/page?x=1")
    assert (moved.status, moved.headers["location"]) == (301, f"https://{NAME}/some/page?x=1")
    answered(server)
    goes_on(app, server, ca)
    assert {row["state"] for row in app.teal("doctor", "--json").ok().result["findings"] if row["what"] == "route"} == {
        "ok"
    }


def answered(server: Server) -> None:
    """Checks that nginx itself answers an ACME challenge beside the app."""
    file = server.root / "var/www/letsencrypt" / CHALLENGE[1:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("what the authority wants to read")
    answer = ask(server, CHALLENGE)
    assert (answer.status, answer.read()) == (200, b"what the authority wants to read")
    assert ask(server, f"{CHALLENGE}-not-there").status == 404


def begin_on_every_listener(server: Server, ca: Path) -> list[Finish]:
    """Uploads over HTTP, HTTPS and HTTP/2."""
    lines = [socket.create_connection((server.address, port), timeout=60) for port in (80, 443, HTTP2)]
    ways_in = [lines[0], over_tls(lines[1], ca, NAME), over_tls(lines[2], ca, NAME, http2=True)]
    return [begin(way_in, NAME) for way_in in ways_in]


def requests_in_flight_end_where_they_began(app: App, server: Server, ca: Path) -> None:
    """The request ends after two more deploys, too. No standby exists yet, so the first deploy drains nothing."""
    live = told(ask(server, "/", ca))
    uploads = begin_on_every_listener(server, ca)
    app.program(version="while they are on their way")
    second = app.deploy().ok().result["release"]
    app.program(version="when they have ended")
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="start", detail=f"waiting for the last work of {live['color']}")
        assert told(ask(server, "/", ca))["release"] == second
        for answer in [finish() for finish in uploads]:
            assert (answer[":status"], answer["x-release"]) == ("200", live["release"])
        deploying.ended(60).ok()
    assert told(ask(server, "/", ca))["version"] == "when they have ended"


def requests_in_flight_end_before_their_release_is_stopped(app: App, server: Server, ca: Path) -> None:
    """By a deploy that keeps no standby. The one before kept none either, so nothing is drained before the start."""
    app.program(version="without a standby")
    app.deploy().ok()
    live = told(ask(server, "/", ca))
    uploads = begin_on_every_listener(server, ca)
    app.program(version="alone")
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="drain", detail=f"waiting for the last work of {live['color']}")
        assert told(ask(server, "/", ca))["version"] == "alone"
        for answer in [finish() for finish in uploads]:
            assert (answer[":status"], answer["x-release"]) == ("200", live["release"])
        deploying.ended(60).ok()
    assert app.status()["colors"][live["color"]]["state"] == "stopped"


def goes_on(app: App, server: Server, ca: Path) -> None:
    """Checks that nginx accepts its files, and that deploys and a rollback are seen over HTTPS."""
    assert server.run("nginx", "-t").returncode == 0
    before = told(ask(server, "/", ca))["version"]
    app.program(version=f"{before}, then another")
    app.deploy().ok()
    assert told(ask(server, "/", ca))["version"] == f"{before}, then another"
    app.teal("rollback").ok()
    assert told(ask(server, "/", ca))["version"] == before
