"""How nginx passes a request to the program of a deployed app, and the answer back."""

import gzip
import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from harness import hostile
from harness import world as worlds
from harness.world import App, World, free_ports
from teal_host.proxies.nginx.server import _NEVER_OF_A_CLIENT

MANNERS = Path(__file__).parents[1] / "apps/manners.py"
SPOOFED = {
    "X-Forwarded-For": "6.6.6.6",
    "x-forwarded-proto": "https",
    "X-FORWARDED-HOST": "evil.example",
    "X-Real-IP": "6.6.6.6",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Server": "evil",
    "X-Forwarded-Ssl": "on",
    "Forwarded": "for=6.6.6.6",
    "X-Teal-Probe": "x",
    "X_Forwarded_For": "6.6.6.6",
    "REMOTE_USER": "root",
    **dict.fromkeys(_NEVER_OF_A_CLIENT, "6.6.6.6"),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for the tests that only send requests."""
    with worlds.world(tmp_path_factory.mktemp("manners")) as made:
        yield made


@pytest.fixture(scope="module")
def plain(shared: World) -> App:
    """An app with the defaults of `teal.toml`: the default site of its port."""
    return deployed(shared, "plain")


@pytest.fixture(scope="module")
def named(shared: World, plain: App) -> App:
    """An app on the same port under names, with an upload limit, without gzip, with buffered answers."""
    rules = {"max_body_mb": 1, "gzip": False, "buffering": True}
    server = {"domains": ["one.example", "two.example"], "http_port": plain.ports[0]}
    app = deployed(shared, "named", server=server, proxy=rules)
    return replace(app, ports=(plain.ports[0], *app.ports[1:]))


@pytest.fixture(scope="module")
def first_named(shared: World) -> App:
    """The only app on a second port, where Teal's main file has no default site: nginx uses it for every name."""
    (alone,) = free_ports(1)
    rules = {"directives": [f"listen 127.0.0.1:{alone};"]}
    env = {"IDLE_S": "0.002"}
    app = deployed(shared, "first", server={"domains": ["first.example"]}, run={"env": env}, proxy=rules)
    return replace(app, ports=(alone, *app.ports[1:]))


def deployed(world: World, name: str, **config: Any) -> App:
    app = world.app(name, **config)
    (app.directory / "program").write_text(f"#!{sys.executable}\n{MANNERS.read_text()}")
    app.deploy().ok()
    return app


@contextmanager
def asked(app: App, path: str, method: str = "GET", body: Any = None, **headers: str) -> Iterator[HTTPResponse]:
    connection = HTTPConnection("127.0.0.1", app.ports[0], timeout=120)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        yield connection.getresponse()
    finally:
        connection.close()


def raw(app: App, text: str) -> bytes:
    """Sends these bytes. Returns what comes back until the connection ends."""
    with socket.create_connection(("127.0.0.1", app.ports[0]), timeout=120) as line:
        line.sendall(text.replace("\n", "\r\n").encode())
        got = b""
        while more := line.recv(65536):
            got += more
    return got


# --- at once, both ways -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["/sse", "/chunks", "/json-lines"])
@pytest.mark.parametrize("accepts", ["identity", "gzip"])
def test_streamed_answer_arrives_while_it_is_open(plain: App, kind: str, accepts: str) -> None:
    """The program sends the second half only after the first has arrived."""
    with asked(plain, kind, accept_encoding=accepts) as answer:
        first = answer.read1(65536)
        assert first
        with asked(plain, "/next"):
            rest = answer.read()
        whole = gzip.decompress(first + rest) if answer.getheader("content-encoding") else first + rest
        assert b"2" in whole or b"two" in whole
        assert (answer.getheader("content-encoding") == "gzip") == ((kind, accepts) == ("/json-lines", "gzip"))


def test_websocket_echoes_through_nginx(plain: App) -> None:
    with socket.create_connection(("127.0.0.1", plain.ports[0]), timeout=120) as line:
        line.sendall(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        file = line.makefile("rb")
        head = b"".join(iter(file.readline, b"\r\n"))
        assert b" 101 " in head
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        for text in (b"hello", b"again"):
            line.sendall(bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text)
            assert file.read(2 + len(text)) == bytes([0x81, len(text)]) + text.upper()
        line.sendall(b"\x88\x80\0\0\0\0")
        assert file.read() == b""


def test_nginx_passes_no_upgrade_on_but_websocket(plain: App) -> None:
    with asked(plain, "/headers", connection="Upgrade, HTTP2-Settings", upgrade="h2c") as answer:
        names = dict(json.loads(answer.read()))
    assert not {"upgrade", "connection"} & set(names)


# --- what the program is told -----------------------------------------------------------------------------------------


@pytest.mark.row("S12")
def test_nginx_replaces_the_forwarding_headers_that_a_client_sends(plain: App, named: App) -> None:
    for app, host in ((plain, "shop.test:8080"), (named, "Two.Example:8080")):
        with asked(app, "/headers", **{**SPOOFED, "Host": host}) as answer:
            headers = json.loads(answer.read())
        forwarding = [(name, value) for name, value in headers if name.startswith(("x-", "x_", "forwarded", "host"))]
        assert sorted(forwarding) == [
            ("host", host.lower()),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-host", host.lower()),
            ("x-forwarded-proto", "http"),
            ("x-real-ip", "127.0.0.1"),
        ]


@pytest.mark.row("S12")
def test_answered_by_header_is_sent_only_to_a_probe_with_the_token(plain: App) -> None:
    token = json.loads((plain.world.root / "etc/teal/plain/app.json").read_text())["token"]
    for probe, expected in ((None, None), ("x", None), (token, f"127.0.0.1:{plain.ports[1]}")):
        with asked(plain, "/", **({"X-Teal-Probe": probe} if probe else {})) as answer:
            assert answer.getheader("X-Teal-Answered-By") == expected


# --- bodies -----------------------------------------------------------------------------------------------------------


def test_nginx_refuses_a_body_that_is_too_large(named: App) -> None:
    for size, status in ((1024 * 1024, 200), (1024 * 1024 + 1, 413)):
        with asked(named, "/", "POST", b"x" * size, host="one.example") as answer:
            assert answer.status == status


def test_nginx_refuses_a_large_body_before_the_client_sends_it_with_expect_100_continue(named: App) -> None:
    head = "POST / HTTP/1.1\nHost: one.example\nConnection: close\nExpect: 100-continue\nContent-Length: {}\n\n"
    with socket.create_connection(("127.0.0.1", named.ports[0]), timeout=120) as line:
        line.sendall(head.format(9_000_000).replace("\n", "\r\n").encode())
        assert line.makefile("rb").readline().startswith(b"HTTP/1.1 413 ")
    response = raw(named, head.format(5) + "hello")
    assert response.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert b'"bytes": 5' in response


def test_chunked_upload_arrives_whole_when_it_is_slow(plain: App) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(5):
            time.sleep(0.05)
            yield b"x" * 70_000

    with asked(plain, "/", "POST", pieces()) as answer:
        assert json.loads(answer.read())["bytes"] == 350_000


def test_nginx_answers_head_and_passes_large_headers_on(plain: App) -> None:
    with asked(plain, "/text?5000", "HEAD") as answer:
        assert (answer.status, answer.getheader("content-length"), answer.read()) == (200, "5000", b"")
    with asked(plain, "/big-header") as answer:
        assert len(answer.getheader("x-big") or "") == 12_000


@pytest.mark.parametrize(
    ("path", "accepts", "zipped"),
    [
        ("/text?5000", "gzip", True),
        ("/text?5000", "br", False),
        ("/text?100", "gzip", False),
        ("/chunks", "gzip", False),
    ],
)
def test_gzip_compresses_only_large_text_for_a_client_that_accepts_gzip(
    plain: App, path: str, accepts: str, zipped: bool
) -> None:
    with asked(plain, path, accept_encoding=accepts, via="1.1 cdn") as answer:
        with asked(plain, "/next"):
            body = answer.read()
        assert (answer.getheader("content-encoding"), body[:2] == b"\x1f\x8b") == ("gzip" if zipped else None, zipped)
        assert (answer.getheader("vary") == "Accept-Encoding") == path.startswith("/text?5")


def test_gzip_stays_off_when_teal_toml_disables_it(named: App) -> None:
    with asked(named, "/text?5000", accept_encoding="gzip", host="one.example") as answer:
        assert (answer.getheader("content-encoding"), len(answer.read())) == (None, 5000)


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\nHost: first.example\n",
        "GET / HTTP/1.1\nHost: FIRST.example:8080\n",
        "GET / HTTP/1.1\nHost: first.example.\n",
        "GET http://first.example/ HTTP/1.1\nHost: evil.example\n",
    ],
)
def test_known_domain_is_served_and_is_the_host_that_the_program_sees(first_named: App, head: str) -> None:
    assert raw(first_named, f"{head}Connection: close\n\n").startswith(b"HTTP/1.1 200 ")
    response = raw(first_named, head.replace("/ HTTP", "/headers HTTP") + "Connection: close\n\n")
    assert b"evil" not in response
    assert b'["host", "first.example' in response


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\nHost: evil.example\n",
        "GET / HTTP/1.1\nHost: 127.0.0.1\n",
        "GET / HTTP/1.0\n",
        "GET / HTTP/1.1\nHost: x.first.example\n",
        "GET http://evil.example/ HTTP/1.1\nHost: first.example\n",
        "GET / HTTP/1.1\nHost: _\n",
        "POST / HTTP/1.1\nHost: firstexample\nContent-Length: 9\n",
    ],
)
def test_unknown_domain_gets_no_answer_at_all(first_named: App, head: str) -> None:
    assert raw(first_named, f"{head}Connection: close\n\n") == b""


def test_default_site_of_the_port_answers_for_other_domains(plain: App, named: App) -> None:
    for host, app in (("what.ever", plain), ("one.example", named), ("TWO.example", named)):
        with asked(plain, "/", host=host) as answer:
            assert json.loads(answer.read())["release"] == app.status()["colors"]["blue"]["release"]


# --- connections that the program closes ------------------------------------------------------------------------------


def test_nginx_loses_and_doubles_no_request_when_the_program_closes_idle_connections(first_named: App) -> None:
    """Each of many clients pauses about as long as the program keeps a connection, so the two often coincide."""
    statuses: Counter[int] = Counter()
    clients = [threading.Thread(target=count, args=(first_named, number, statuses)) for number in range(6)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    with asked(first_named, "/ledger", host="first.example") as answer:
        ledger = json.loads(answer.read())
    log = (first_named.world.root / "etc/nginx/error.log").read_text()
    (output,) = (first_named.state / "logs").glob("blue-*.log")
    assert "Traceback" not in output.read_text(), "the program broke off an answer, which is no fault of nginx"
    assert statuses == {200: 6 * 400}, log[-2000:]
    assert ledger == {"ids": 6 * 400, "more_than_once": 0}
    coincided = [line for line in log.splitlines() if "prematurely closed" in line]
    assert coincided, "no request met a closing connection, so nothing was shown"
    assert all('request: "GET ' in line for line in coincided)


def count(app: App, number: int, statuses: "Counter[int]") -> None:
    luck = random.Random(number)
    connection = HTTPConnection("127.0.0.1", app.ports[0], timeout=120)
    for turn in range(400):
        method = luck.choice(["GET", "GET", "POST", "PUT", "DELETE", "PATCH"])
        body = b"x" if method in ("POST", "PUT", "PATCH") else None
        connection.request(method, f"/count?{number}-{turn}", body, {"Host": "first.example"})
        answer = connection.getresponse()
        answer.read()
        statuses[answer.status] += 1
        time.sleep(luck.uniform(0.0015, 0.003))
    connection.close()


def test_deploy_renews_the_site_of_an_earlier_teal_that_kept_fewer_connections(world: World) -> None:
    app = world.app("earlier")
    app.deploy().ok()
    site = world.root / "etc/nginx/sites/teal-earlier.conf"
    renewed = site.read_text()
    site.write_text(renewed.replace(" keepalive 128;", " keepalive 32;"))
    app.program(version="v2")
    app.deploy().ok()
    assert (site.read_text(), app.get()["version"]) == (renewed, "v2")


# --- a program that turns on nginx ------------------------------------------------------------------------------------

TARGETS = (
    *("/etc/passwd", "//etc/passwd", "/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "file:///etc/passwd"),
    *("@teal_named_standby", "@teal_plain_standby", "http://one.example/headers", "//one.example/", "/.teal", "@", ""),
)


@pytest.mark.row("S21")
@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("target", TARGETS)
def test_redirect_that_a_program_asks_of_nginx_leads_to_nothing_but_the_program(plain: App, target: str) -> None:
    """nginx asks the program again, in its own site, or gives up: no file, and no place of another app."""
    answer = quote(f"HTTP/1.1 200 OK\r\nX-Accel-Redirect: {target}\r\nContent-Length: 2\r\n\r\nok")
    with asked(plain, f"/raw?{answer}", connection="close") as got:
        body = got.read()
    assert b"root:" not in body
    assert got.status >= 400 or body == b"ok" or json.loads(body)["pid"] == plain.get()["pid"]


@pytest.mark.row("S21")
@pytest.mark.parametrize("name", hostile.ANSWERS)
def test_answer_of_a_hostile_program_reaches_no_visitor_of_another_app(plain: App, named: App, name: str) -> None:
    answer = quote(hostile.ANSWERS[name], encoding="latin-1")
    with suppress(HTTPException), asked(plain, f"/raw?{answer}", connection="close") as got:
        got.read()
    assert named.get(host="one.example")["pid"] != plain.get()["pid"]
    with asked(plain, "/text?1000") as got:
        assert (got.status, got.read()) == (200, b"teal " * 200)


@pytest.mark.row("S21")
@pytest.mark.parametrize("buffering", ["yes", "no"])
def test_program_does_not_fill_the_disk_of_nginx_with_an_answer_that_nobody_reads(
    shared: World, plain: App, buffering: str
) -> None:
    """At 768eec4 `X-Accel-Buffering: yes` made nginx write up to 1 GB of each such answer to its own folder."""
    most, of_nginx = 0, shared.nginx_processes()
    with socket.create_connection(("127.0.0.1", plain.ports[0]), timeout=60) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        line.sendall(f"GET /large?{buffering} HTTP/1.0\r\n\r\n".encode())
        while line.recv(1 << 20):  # slower than the program
            most = max(most, *map(_spooled, of_nginx))
    assert most == 0


def _spooled(worker: int) -> int:
    """The bytes that a process of nginx keeps in files for clients. The files have no names any more."""
    size = 0
    for file in Path(f"/proc/{worker}/fd").iterdir():
        with suppress(FileNotFoundError):
            size += file.stat().st_size * ("/temp/proxy/" in str(file.readlink()))
    return size


# --- the user's own directives ----------------------------------------------------------------------------------------


def test_directives_take_effect_and_a_directive_that_nginx_rejects_changes_nothing(shared: World) -> None:
    good = [
        'add_header X-Own "} server { a;b $host" always; # a } in a comment',
        "location = /own { return 200 'own {$teal_color}'; }",
        "location /count/own {\n  proxy_read_timeout 9s;\n  proxy_pass http://$teal_app;\n}",
        'if ($http_user_agent ~ "^bad{2}") { return 403; }',
        "proxy_set_header X-Own yes;",
    ]
    app = deployed(shared, "own", proxy={"directives": good})
    with asked(app, "/headers") as answer:
        assert answer.getheader("X-Own") == "} server { a;b 127.0.0.1"
        assert ["x-own", "yes"] in json.loads(answer.read())
    with asked(app, "/own") as answer:
        assert answer.read() == b"own {blue}"
    with asked(app, "/count/own") as answer:
        assert json.loads(answer.read())["color"] == "blue"
    with asked(app, "/", user_agent="badd") as answer:
        assert answer.status == 403
    app.deploy_versions("v2")
    refused(app, good, "location / { return 200; }", 'duplicate location "/"')
    refused(app, good, "# a word\nno_such_thing on;", 'unknown directive "no_such_thing"')
    refused(app, good, "client_max_body_size 5m;", '"client_max_body_size" directive is duplicate')
    refused(app, good, "listen 127.0.0.1:80 default_server bad;", 'invalid parameter "bad"')


def refused(app: App, good: list[str], bad: str, complaint: str) -> None:
    """Before the upload: no release comes of it, and none takes the place of the standby."""
    colors, before = app.status()["colors"], (app.world.root / "etc/nginx/sites/teal-own.conf").read_text()
    app.config(proxy={"directives": [*good, bad]})
    ended = app.deploy()
    assert ended.code == 3
    assert complaint in ended.err
    assert repr(bad) in ended.err
    assert app.status()["colors"] == colors
    assert (app.world.root / "etc/nginx/sites/teal-own.conf").read_text() == before
    with asked(app, "/own") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "text", ["} server {", "a; } server { listen 81; b;", "deny all", "deny all; allow all;", "a '"]
)
def test_malformed_directive_is_refused_with_its_key(shared: World, text: str) -> None:
    app = shared.app(f"bad-{abs(hash(text)) % 10**6}", proxy={"directives": [text]})
    ended = app.deploy()
    assert ended.code == 3
    assert "proxy.directives[0]" in ended.err


def test_deploy_goes_live_when_only_the_proxy_rules_have_changed(shared: World, plain: App) -> None:
    app = deployed(shared, "rules")
    assert app.deploy().ok().result["outcome"] == "unchanged"
    app.config(proxy={"max_body_mb": 0, "read_timeout_s": 5})
    assert app.deploy().ok().result["outcome"] == "live"
    text = (shared.root / "etc/nginx/sites/teal-rules.conf").read_text()
    assert "client_max_body_size 0;" in text
    assert "proxy_read_timeout 5s;" in text
    assert app.deploy().ok().result["outcome"] == "unchanged"
