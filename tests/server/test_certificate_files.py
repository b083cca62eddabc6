"""HTTPS with the certificate in files on the server: checked, taken, renewed without a reload.

Nobody gets another's page.
"""

import contextlib
import http.client
import os
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import harness
from harness import Server
from harness.certificates import Authority
from harness.world import App, at_server, wait_until
from server.setup.results import setup_changes

FIRST, WILD, ALIAS, OTHER, FOREIGN = "blog.test", "*.blog.test", "www.blog.test", "news.test", "foreign.test"
FOLDER = "/etc/ssl/blog"
HTTPS = {"certificate": "files", "cert": f"{FOLDER}/cert.pem", "key": f"{FOLDER}/key.pem"}
FOREIGN_SITE = f"""
server {{
    listen 443 ssl;
    server_name {FOREIGN};
    ssl_certificate {FOLDER}/cert.pem;
    ssl_certificate_key {FOLDER}/key.pem;
    location / {{ return 200 "the page of somebody else"; }}
}}
"""


@dataclass(frozen=True)
class Certified:
    server: Server
    authority: Authority
    blog: App
    news: App

    @property
    def folder(self) -> Path:
        return self.server.root / FOLDER[1:]

    def put(self, *names: str, dates: tuple[str, ...] = ("-days", "30")) -> None:
        """Files of the owner's, who keeps the key."""
        key = self.folder / "key.pem"
        chain, new = self.authority.sign(*names, key=key if key.exists() else None, dates=dates)
        (self.folder / "cert.pem").write_text(chain)
        key.write_text(new)

    def connect(self, name: str, version: str = "http/1.1") -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.authority.file))
        context.check_hostname = bool(name)
        context.set_alpn_protocols([version])
        with socket.create_connection((self.server.address, 443), timeout=60) as plain:
            return context.wrap_socket(plain, server_hostname=name or None)

    def ask(self, url: str, sni: str | None = None) -> "tuple[int, str | None, bytes]":
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        line = http.client.HTTPConnection(self.server.address, 80, timeout=60)
        if scheme == "https":
            line.sock = self.connect(host if sni is None else sni)
        try:
            line.request("GET", f"/{path}", headers={"Host": host, "Connection": "close"})
            answer = line.getresponse()
            return answer.status, answer.getheader("Location"), answer.read()
        finally:
            line.close()

    def serial(self) -> str:
        with self.connect(FIRST) as encrypted:
            return str((encrypted.getpeercert() or {})["serialNumber"])

    def shakes_hands(self) -> bool:
        with contextlib.suppress(ssl.SSLError):
            return bool(self.serial())
        return False

    def sees_another_than(self, serial: str) -> None:
        deadline = time.monotonic() + 20  # newer nginx may keep a certificate for two seconds
        while self.serial() == serial:
            assert time.monotonic() < deadline

    def workers(self) -> str:
        return self.server.run("pgrep", "-f", "nginx: worker").stdout


@pytest.fixture(scope="module")
def certified(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certified]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl, for certificates: apt-get install -y openssl")
    with harness.server(
        debian, tmp_path_factory.mktemp("server"), packages=["nginx", "sudo", "certbot", "openssl"]
    ) as booted:
        world = at_server(tmp_path_factory.mktemp("home"), booted)
        authority = Authority(tmp_path_factory.mktemp("authority"))
        blog, news = world.app("blog"), world.app("news")
        blog.config(server={"domains": [FIRST, WILD], "redirects": [ALIAS]}, https=HTTPS)
        news.config(server={"domains": [OTHER]}, https=HTTPS)
        for app in (blog, news):
            app.program(version=f"of {app.name}")
        (booted.root / FOLDER[1:]).mkdir(parents=True)
        yield Certified(booted, authority, blog, news)


def test_certificate_of_files_is_checked_before_anything_changes(certified: Certified) -> None:
    def refused(complaint: str) -> None:
        ended = certified.blog.teal("setup", "--yes")
        assert (ended.code, complaint in ended.err) == (3, True), ended.err

    refused("cert.pem cannot be read: No such file or directory")
    certified.put("elsewhere.test")
    refused(f"is a certificate for elsewhere.test, so for none of {FIRST}")
    certified.put(FIRST, dates=("-days", "0"))
    refused("certificate has expired")
    certified.put(FIRST)
    (certified.folder / "key.pem").write_text(certified.authority.sign(FIRST)[1])
    refused("key values mismatch")
    (certified.folder / "key.pem").unlink()
    os.mkfifo(certified.folder / "key.pem")
    refused("key.pem cannot be read: it is not a file")
    (certified.folder / "key.pem").unlink()
    assert not (certified.server.root / "etc/teal/blog").exists()


def test_certificate_of_files_serves_https_and_is_renewed_without_a_reload(certified: Certified) -> None:
    certified.put(FIRST, WILD, ALIAS, OTHER, FOREIGN)
    for app in (certified.news, certified.blog):
        app.teal("setup", "--yes").ok()
    assert setup_changes(certified.blog, "--dry-run") == []
    assert certified.blog.deploy().ok().result["url"] == f"https://{FIRST}/"
    assert b"of blog" in certified.ask(f"https://{FIRST}/x?y")[2]
    assert certified.ask(f"http://{FIRST}/x?y")[:2] == (301, f"https://{FIRST}/x?y")
    assert certified.ask(f"http://{ALIAS}/x?y")[:2] == (301, f"https://{FIRST}/x?y")
    assert certified.ask(f"https://any.{FIRST}/")[0] == 200
    with certified.connect(FIRST, "h2") as encrypted:
        assert encrypted.selected_alpn_protocol() == "h2"
    for unknown in ("unknown.test", ""):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            certified.ask(f"https://{FIRST}/", sni=unknown)
    assert certified.ask(f"https://{OTHER}/", sni=FIRST)[0] == 421

    before, workers = certified.serial(), certified.workers()
    certified.put(FIRST, WILD, ALIAS, OTHER, FOREIGN)
    renewed = certified.blog.teal("setup", "--yes").ok()
    assert f"take the certificate {FOLDER}/cert.pem" in renewed.out + renewed.err
    certified.sees_another_than(before)
    assert certified.workers() == workers
    certified.blog.program(version="the next", only_https=True)
    certified.blog.deploy().ok()
    assert b"the next" in certified.ask(f"https://{FIRST}/")[2]
    tls = certified.server.root / "etc/teal/blog/tls"
    assert {path.stat().st_mode & 0o777 for path in (tls / "privkey.pem", tls / "fullchain.pem")} == {0o640}
    assert tls.stat().st_mode & 0o7777 == 0o750


def test_key_is_readable_for_no_program_that_runs_as_nginxs_user(certified: Certified) -> None:
    certified.server.run("systemd-run", "--uid=www-data", "--unit=pool", "sleep", "3000")
    key = certified.server.root / "etc/teal/blog/tls/privkey.pem"
    file = certified.server.root / "etc/nginx/conf.d/teal-blog.conf"
    file.write_text(f"{file.read_text()}# managed by Certbot\n")  # also an edited file is written again
    warned = certified.blog.teal("setup", "--yes").ok()
    assert "sleep runs as nginx's user" in warned.out + warned.err
    assert (key.stat().st_mode & 0o777, key.stat().st_uid) == (0o600, 0)
    wait_until(certified.shakes_hands)  # a worker of before the reload may no longer open the key
    before = certified.serial()
    certified.put(FIRST, WILD, ALIAS, OTHER, FOREIGN)
    certified.blog.teal("setup", "--yes").ok()
    certified.sees_another_than(before)
    assert key.stat().st_mode & 0o777 == 0o600
    certified.server.run("systemctl", "stop", "pool")


def test_foreign_site_and_an_app_that_goes_keep_everybodys_own_pages(certified: Certified) -> None:
    default = certified.server.root / "etc/nginx/conf.d/teal-default.conf"
    assert default.exists()
    foreign = certified.server.root / "etc/nginx/sites-enabled/foreign"
    foreign.write_text(FOREIGN_SITE)
    certified.server.run("nginx", "-s", "reload")
    certified.blog.teal("setup", "--yes").ok()
    assert certified.ask(f"https://{FOREIGN}/")[2] == b"the page of somebody else"
    assert b"the next" in certified.ask(f"https://{FIRST}/")[2]
    assert certified.ask(f"https://{FIRST}/", sni=FOREIGN)[0] == 421
    foreign.unlink()
    certified.server.run("nginx", "-s", "reload")
    certified.blog.teal("setup", "--yes").ok()
    certified.blog.teal("destroy", "--yes").ok()
    assert default.exists()
    assert certified.ask(f"https://{OTHER}/")[0] == 503  # its own: nothing was deployed
    certified.news.teal("destroy", "--yes").ok()
    assert not default.exists()
    assert not (certified.server.root / "etc/teal").exists()
