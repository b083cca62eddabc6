"""What an app's nginx file does with TLS, redirects, challenges and the word of proxies: asked of a running nginx."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.certificates import Authority
from harness.world import free_ports
from teal.transports.local import find_nginx
from teal_host.proxies.nginx import listeners
from teal_host.proxies.nginx import site as nginx_site
from teal_host.proxies.nginx.parts import default_site
from teal_host.proxies.nginx.parts.parameters import Nginx
from teal_host.proxies.nginx.parts.trusted import CLOUDFLARES
from teal_host.proxies.nginx.sites import Listen, Server
from teal_host.state.route import Route, Tls
from teal_host.wire.app import Ports, ProxyRules, Site
from teal_host.wire.reports import PROBE_HEADER

NGINX = find_nginx()
TOKEN = "0123456789abcdef" * 2
FIRST, SECOND, WILD, ALIAS, OTHER = "shop.test", "second.test", "*.shop.test", "www.shop.test", "blog.test"
SITE = Site((FIRST, SECOND, WILD), 80, (ALIAS, "*.alias.test"))
VERSIONS = [(1, 18, 0), (1, 22, 1), (1, 25, 0), (1, 25, 1), (1, 26, 3), (1, 27, 4), (1, 31, 3)]


def tls_of(folder: Path, **keys: object) -> Tls:
    return replace(Tls(folder / "tls", folder / "challenges"), **keys)  # type: ignore[arg-type]


def routed(folder: Path, site: Site = SITE, **keys: object) -> Route:
    route = Route("shop", site, Ports(8081, 8082), folder / "live", TOKEN, tls=tls_of(folder))
    return replace(route, **keys)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: ".".join(map(str, version)))
def test_http2_and_the_cache_of_certificates_are_spelled_as_the_version_knows_them(version: tuple[int, ...]) -> None:
    listens = listeners.for_tls((), ["443", "[::]:443"], version)
    text = nginx_site.site_text(routed(Path("/x")), listens, nginx=Nginx(version))
    assert ("listen 443 ssl http2;" in text) == (version < (1, 25, 1))
    assert ("    http2 on;\n" in text) == (version >= (1, 25, 1))
    assert ("ssl_certificate_cache" in text) == (version >= (1, 27, 4))
    rejected = default_site.text(listens, version)
    assert ("ssl_reject_handshake on;" in rejected) == (version >= (1, 19, 4))
    assert ("    ssl_certificate " in rejected) == (version < (1, 19, 4))


def test_key_that_workers_may_not_open_is_read_at_the_start_and_the_generation_is_the_same() -> None:
    route = routed(Path("/x"))
    text = nginx_site.site_text(route, ["443 ssl"], nginx=Nginx((1, 31, 3), opens_key=False))
    assert 'ssl_certificate_key "/x/tls/privkey.pem";' in text
    assert "ssl_certificate_cache" not in text
    assert nginx_site.generation(route) in text


def test_http2_of_a_shared_address_stays_the_choice_of_the_other_site_until_nginx_has_a_line_for_it() -> None:
    def beside(http2: bool, version: tuple[int, ...]) -> list[str]:
        other = Server("/x", 1, (Listen("*", 443, http2=http2),), ("other.test",))
        return listeners.for_tls([other], ["443", "[::]:443"], version)

    assert beside(False, (1, 22, 1)) == ["443 ssl", "[::]:443 ssl http2"]
    assert beside(True, (1, 22, 1)) == ["443 ssl http2", "[::]:443 ssl http2"]
    assert beside(True, (1, 26, 3)) == ["443 ssl", "[::]:443 ssl"]


def test_generation_is_the_same_for_every_version_and_every_list_of_cloudflares_networks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    route = routed(Path("/x"), rules=ProxyRules(trusted=("cloudflare",)))
    texts = {nginx_site.site_text(route, ["443 ssl"], nginx=Nginx(version)) for version in VERSIONS}
    before = nginx_site.generation(route)
    assert len(texts) == 3
    assert all(before in text for text in texts)
    monkeypatch.setattr("teal_host.proxies.nginx.parts.trusted.CLOUDFLARES", CLOUDFLARES[1:])
    assert nginx_site.generation(route) == before
    assert nginx_site.generation(replace(route, rules=ProxyRules(trusted=("203.0.113.0/24",)))) != before
    assert nginx_site.generation(replace(route, tls=None)) != before


def test_text_of_an_app_without_https_has_nothing_of_it() -> None:
    text = nginx_site.site_text(Route("shop", Site((FIRST,)), Ports(8081, 8082), Path("/x/live"), TOKEN), ["80"])
    assert not re.search(r"ssl|https|acme|realip|asker|goto", text.replace("# ", ""))


class Echo(BaseHTTPRequestHandler):
    """Answers with the path and the headers that the program gets."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "headers": sorted(map(list, self.headers.items()))}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/own-hsts":
            self.send_header("Strict-Transport-Security", "max-age=7")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Answer:
    status: int
    location: str | None
    hsts: list[str]
    body: bytes

    def header(self, name: str) -> list[str]:
        return [value for key, value in json.loads(self.body)["headers"] if key.lower() == name.lower()]


@dataclass(frozen=True)
class Running:
    """A running nginx with an app's site, another app's, and the file that rejects unknown names."""

    folder: Path
    http: int
    https: int
    authority: Authority

    def ask(self, url: str, *, sni: str | None = None, at: str = "127.0.0.1", **headers: str) -> Answer:
        """`sni`: another name in the handshake than in the request; empty: none."""
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        plain = socket.create_connection((at, self.https if scheme == "https" else self.http), timeout=10)
        encrypted = self._tls(plain, host if sni is None else sni) if scheme == "https" else plain
        with contextlib.closing(http.client.HTTPConnection(host, timeout=10)) as connection:
            connection.sock = encrypted
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("GET", f"/{path}", headers={"Host": host, **named})
            got = connection.getresponse()
            hsts = got.headers.get_all("Strict-Transport-Security") or []
            return Answer(got.status, got.getheader("Location"), hsts, got.read())

    def _tls(self, plain: socket.socket, name: str) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.authority.file))
        context.check_hostname = bool(name)
        context.set_alpn_protocols(["h2", "http/1.1"] if name == "h2" else ["http/1.1"])
        with plain:  # a handshake that fails leaves it
            return context.wrap_socket(plain, server_hostname=name or None)

    def put(self, *names: str) -> None:
        """A new certificate with the same way to its key, renamed into place."""
        self.authority.put(self.folder / "tls", *names)


def cover(folder: Path, *names: str) -> None:
    for old in (folder / "tls/names").iterdir():
        old.unlink()
    for name in names:
        (folder / "tls/names" / name).touch()


@pytest.fixture(scope="module")
def program() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def nginx(request: pytest.FixtureRequest, program: int, authority: Authority, tmp_path: Path) -> Iterator[Running]:
    """Its parameter: keys of the route, and of its Tls below `tls`."""
    if NGINX is None:
        pytest.skip("there is no nginx on this machine")
    keys = dict(getattr(request, "param", {}))
    tls = keys.pop("tls", {})
    for name in ("tls/names", "challenges/.well-known/acme-challenge", "blue", "other/tls/names", "temp"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "live").symlink_to("blue")
    (tmp_path / "challenges/.well-known/acme-challenge/word").write_text("answer")
    authority.put(tmp_path / "tls", *SITE.names)
    authority.put(tmp_path / "other/tls", OTHER)
    http_port, https_port, unused = free_ports(3)
    ports = Ports(program, unused)
    route = routed(tmp_path, tls=None if tls is None else tls_of(tmp_path, **tls), ports=ports, **keys)
    other = routed(tmp_path / "other", Site((OTHER,)), app="blog", ports=ports, live=tmp_path / "live", token="f" * 32)
    version = tuple(map(int, re.findall(r"nginx/(\d+)\.(\d+)\.(\d+)", _version())[0]))
    plain, encrypted = f"127.0.0.1:{http_port}", f"127.0.0.1:{https_port}"
    listens = [plain, *listeners.for_tls((), [encrypted], version)]
    texts = [
        nginx_site.site_text(each, listens[: 2 if each.tls else 1], nginx=Nginx(version)) for each in (route, other)
    ]
    texts.append(default_site.text(listens[1:], version))
    _write_main(tmp_path, texts)
    argv = [NGINX, "-p", f"{tmp_path}/", "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")]
    checked = subprocess.run([*argv, "-t"], capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr
    process = subprocess.Popen([*argv, "-g", "daemon off;"])
    try:
        _wait_for(http_port)
        yield Running(tmp_path, http_port, https_port, authority)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _version() -> str:
    return subprocess.run([str(NGINX), "-v"], capture_output=True, text=True, timeout=60, check=True).stderr


def _write_main(folder: Path, texts: list[str]) -> None:
    temporary = "".join(f"{kind}_temp_path temp;\n" for kind in ("proxy", "client_body"))
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}worker_processes 1;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n"
        f"variables_hash_max_size 2048;\n{temporary}{''.join(texts)}}}\n"
    )


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_certificate_is_the_apps_own_and_http2_is_spoken(nginx: Running) -> None:
    for name in (FIRST, SECOND, "any.shop.test"):
        answer = nginx.ask(f"https://{name}/x?y=1")
        assert (answer.status, json.loads(answer.body)["path"]) == (200, "/x?y=1")
        assert (answer.header("X-Forwarded-Proto"), answer.header("Host")) == (["https"], [name])
    with socket.create_connection(("127.0.0.1", nginx.https), timeout=10) as plain:
        context = ssl.create_default_context(cafile=str(nginx.authority.file))
        context.set_alpn_protocols(["h2", "http/1.1"])
        with context.wrap_socket(plain, server_hostname=FIRST) as encrypted:
            assert encrypted.selected_alpn_protocol() == "h2"


def test_certificate_that_is_renamed_into_place_is_served_at_the_next_handshake_without_a_reload(
    nginx: Running,
) -> None:
    def serial() -> str:
        with socket.create_connection(("127.0.0.1", nginx.https), timeout=10) as plain:
            context = ssl.create_default_context(cafile=str(nginx.authority.file))
            with context.wrap_socket(plain, server_hostname=FIRST) as encrypted:
                return str((encrypted.getpeercert() or {})["serialNumber"])

    before = serial()
    nginx.put(*SITE.names)
    deadline = time.monotonic() + 20  # nginx may keep a certificate for two seconds
    while serial() == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_unknown_name_no_name_and_another_apps_name_get_no_page(nginx: Running) -> None:
    for name in ("unknown.test", "a.b.shop.test", ""):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            nginx.ask(f"https://{FIRST}/", sni=name)
    assert nginx.ask(f"https://{FIRST}/", sni=OTHER).status == 421
    assert nginx.ask(f"https://{OTHER}/", sni=FIRST).status == 421
    assert nginx.ask(f"https://{SECOND}/", sni=FIRST).status == 200
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        nginx.ask("https://unknown.test/", sni=FIRST)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        nginx.ask("http://a.b.shop.test/")


def test_http_goes_to_https_in_one_step_once_a_name_is_covered_and_no_sooner(nginx: Running) -> None:
    assert nginx.ask(f"http://{FIRST}/a?b=%20c").status == 200
    cover(nginx.folder, FIRST, WILD)
    assert nginx.ask(f"http://{FIRST}/a?b=%20c").location == f"https://{FIRST}/a?b=%20c"
    assert nginx.ask("http://any.shop.test//evil.test/").location == "https://any.shop.test//evil.test/"
    assert nginx.ask(f"http://{SECOND}/").status == 200
    assert nginx.ask(f"https://{FIRST}/").status == 200


@pytest.mark.parametrize(
    ("covered", "from_http", "from_https"),
    [((), "http", "http"), ((FIRST,), "http", "http"), ((ALIAS,), "http", "http"), ((FIRST, ALIAS), "https", "https")],
)
def test_alias_goes_to_the_first_domain_and_to_https_only_where_both_are_covered(
    nginx: Running, covered: tuple[str, ...], from_http: str, from_https: str
) -> None:
    cover(nginx.folder, *covered)
    answer = nginx.ask(f"http://{ALIAS}/a/../b?c=d")
    assert (answer.status, answer.location) == (301, f"{from_http}://{FIRST}/a/../b?c=d")
    assert nginx.ask(f"https://{ALIAS}/").location == f"{from_https}://{FIRST}/"
    assert nginx.ask("http://any.alias.test/").location == f"http://{FIRST}/"


@pytest.mark.parametrize("nginx", [{"tls": {"redirect": False}}], indirect=True)
def test_alias_keeps_its_scheme_where_http_is_not_sent_to_https(nginx: Running) -> None:
    cover(nginx.folder, FIRST, ALIAS)
    assert nginx.ask(f"http://{FIRST}/").status == 200
    assert nginx.ask(f"http://{ALIAS}/").location == f"http://{FIRST}/"
    assert nginx.ask(f"https://{ALIAS}/").location == f"https://{FIRST}/"


@pytest.mark.parametrize("nginx", [{"tls": None, "site": replace(SITE, http_port=8080)}], indirect=True)
def test_alias_of_a_site_without_https_goes_to_its_port(nginx: Running) -> None:
    assert nginx.ask(f"http://{ALIAS}/a?b").location == f"http://{FIRST}:8080/a?b"
    assert nginx.ask(f"http://{FIRST}/a?b").status == 200


@pytest.mark.parametrize("name", [FIRST, ALIAS, "any.shop.test"])
def test_challenge_and_teals_own_questions_are_never_sent_elsewhere(nginx: Running, name: str) -> None:
    cover(nginx.folder, *SITE.names)
    challenge = f"http://{name}/.well-known/acme-challenge"
    assert nginx.ask(f"{challenge}/word").body == b"answer"
    assert nginx.ask(f"{challenge}/missing").status == 404
    assert nginx.ask(f"http://{name}/.teal-{TOKEN}").status == 301
    teals = {PROBE_HEADER.replace("-", "_"): TOKEN}
    assert nginx.ask(f"http://{name}/.teal-{TOKEN}", **teals).status == 200
    assert nginx.ask(f"http://{name}/x", **teals).status == 200
    assert nginx.ask(f"http://{name}/x", **{PROBE_HEADER.replace("-", "_"): "f" * 32}).status == 301


@pytest.mark.parametrize("nginx", [{"tls": {"hsts_days": 2}}], indirect=True)
def test_hsts_is_told_over_https_alone_and_once(nginx: Running) -> None:
    assert nginx.ask(f"https://{FIRST}/").hsts == ["max-age=172800"]
    assert nginx.ask(f"http://{FIRST}/").hsts == []
    assert nginx.ask(f"https://{FIRST}/own-hsts").hsts == ["max-age=7"]


CLAIMS = {
    "X_Forwarded_For": "198.51.100.7",
    "X_Forwarded_Proto": "https",
    "CF_Connecting_IP": "198.51.100.8",
    "X_Real_IP": "198.51.100.9",
    "Forwarded": "for=198.51.100.10;proto=https",
}


@pytest.mark.parametrize(
    "nginx",
    [{}, {"rules": ProxyRules(trusted=("cloudflare", "203.0.113.0/24"))}],
    indirect=True,
    ids=["none", "others"],
)
def test_stranger_is_believed_neither_an_address_nor_a_scheme(nginx: Running) -> None:
    answer = nginx.ask(f"http://{FIRST}/", **CLAIMS)
    seen = [answer.header(name) for name in ("X-Forwarded-For", "X-Real-IP", "X-Forwarded-Proto", "CF-Connecting-IP")]
    assert seen == [["127.0.0.1"], ["127.0.0.1"], ["http"], []]
    cover(nginx.folder, FIRST)
    assert nginx.ask(f"http://{FIRST}/", **CLAIMS).status == 301


@pytest.mark.parametrize("nginx", [{"rules": ProxyRules(trusted=("127.0.0.0/8",))}], indirect=True)
def test_proxy_that_is_trusted_says_address_and_scheme_and_there_is_no_loop(nginx: Running) -> None:
    cover(nginx.folder, FIRST)
    claims = {**CLAIMS, "X_Forwarded_For": "192.0.2.66, 198.51.100.7, 127.0.0.9"}
    answer = nginx.ask(f"http://{FIRST}/", **claims)
    assert (answer.status, answer.header("X-Forwarded-Proto")) == (200, ["https"])
    assert (answer.header("X-Forwarded-For"), answer.header("X-Real-IP")) == (["198.51.100.7"], ["198.51.100.7"])
    assert answer.header("CF-Connecting-IP") == []
    assert nginx.ask(f"http://{FIRST}/", X_Forwarded_Proto="http").status == 301
    assert nginx.ask(f"https://{FIRST}/", X_Forwarded_Proto="gopher").header("X-Forwarded-Proto") == ["https"]


@pytest.mark.parametrize("nginx", [{"rules": ProxyRules(trusted=("cloudflare",))}], indirect=True)
def test_cloudflares_networks_say_the_address_in_its_own_header(
    nginx: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (nginx.folder / "nginx.conf").read_text()
    assert "real_ip_header CF-Connecting-IP;" in text
    assert all(f"    set_real_ip_from {network};\n" in text for network in CLOUDFLARES)
    assert all(f"    {network} 1;\n" in text for network in CLOUDFLARES)


def test_session_is_resumed_with_either_protocol(nginx: Running) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=str(nginx.authority.file))
        context.minimum_version = context.maximum_version = version
        session: ssl.SSLSession | None = None
        reused: list[bool | None] = []
        for _ in range(2):
            plain = socket.create_connection(("127.0.0.1", nginx.https), timeout=10)
            with context.wrap_socket(plain, server_hostname=FIRST, session=session) as encrypted:
                encrypted.sendall(f"GET / HTTP/1.0\r\nHost: {FIRST}\r\n\r\n".encode())
                while encrypted.recv(65536):
                    pass
                session, reused = encrypted.session, [*reused, encrypted.session_reused]
        assert reused == [False, True]
