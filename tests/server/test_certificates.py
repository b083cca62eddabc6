"""Certificates of a real authority: ordered by setup, renewed by certbot's own timer, and what stands in their way.

The tests of a module share the server, so they stand in the order in which a person would meet what they show.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.acme import Authority, authority
from harness.booted_server import Server
from harness.forks import Command
from harness.tiny import tiny_app
from harness.tls_visitors import serial, tls_visitors
from harness.world import App, Ended, World, at_server, wait_until

PACKAGES = ["nginx", "sudo", "certbot", "openssl"]
RENEWALS = int(os.environ.get("TEAL_RENEWALS", "1"))
ELSEWHERE = "127.77.77.77"  # of this machine, and nobody listens there
FIRST, ALIAS, LATER, NOWHERE = "shop.test", "www.shop.test", "later.test", "six.test"
TLS = "/etc/teal/shop/tls"


class Hosts(World):
    """A world with a hosts file of its own, which names the server."""

    def argv(self, *arguments: str) -> list[str]:
        inside = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", inside, str(self.hosts), *super().argv(*arguments)]

    def teal(
        self, *arguments: str, cwd: Path | None = None, deadline_s: float = 240, stdin: str = "", **env: str
    ) -> Ended:
        """A process of its own: a fork has the hosts file of the machine."""
        done = self._started(Command(arguments, str(cwd or self.home), {**self.env, **env}, stdin), deadline_s)
        assert "Traceback" not in done.stdout + done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    @property
    def hosts(self) -> Path:
        return self.home / "hosts"

    def lead(self, **addresses: str) -> None:
        """`shop_test="192.0.2.1"`, or two addresses with a space between them."""
        rows = [(address, name.replace("_", ".")) for name, both in addresses.items() for address in both.split()]
        text = "".join(f"{address} {name}\n" for address, name in [("127.0.0.1", "localhost"), *rows])
        self.hosts.write_text(text)


@dataclass
class Site:
    server: Server
    world: Hosts
    app: App
    authority: Authority

    def configure(self, *domains: str) -> None:
        self.app.config(
            server={"domains": list(domains), "redirects": [ALIAS]},
            https={"certificate": "letsencrypt", "directory": self.authority.directory, "ca_file": "ca.pem"},
            run={"command": ["./program", "{port}", "shop"]},
            verify={"path": "/", "json": {"app": "shop"}},
        )

    def setup(self) -> dict[str, Any]:
        """The result, of a setup that ended with 0 whatever the authority said."""
        result = self.app.teal("setup", "--json").ok().result["https"]
        assert isinstance(result, dict)
        return result

    def serial(self) -> str:
        return serial(self.server.address, self.authority.root, FIRST)

    def workers(self) -> list[str]:
        return sorted(self.server.run("pgrep", "-f", "nginx: worker").stdout.split())

    def make_due(self) -> None:
        """From now on certbot takes the certificate for old."""
        renewal = self.server.root / "etc/letsencrypt/renewal/teal-shop.conf"
        renewal.write_text(f"renew_before_expiry = 36500 days\n{renewal.read_text()}")


@pytest.fixture(scope="module")
def site(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    work = tmp_path_factory.mktemp("certificates")
    with harness.server(debian, work, packages=PACKAGES) as server, authority(server, work / "acme") as acme:
        plain = at_server(work / "world", server)
        world = Hosts(plain.home, [], plain.target, plain.address, plain.interpreter, plain.path)
        app = tiny_app(world, "shop", [FIRST])
        (app.directory / "ca.pem").write_text(acme.ca.read_text())
        site = Site(server, world, app, acme)
        yield site
        world.end()


def curl(site: Site, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    name = url.split("/")[2]
    places = [word for port in (80, 443) for word in ("--resolve", f"{name}:{port}:{site.server.address}")]
    argv = ["curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", str(site.authority.root), *places]
    return subprocess.run([*argv, *arguments, url], capture_output=True, text=True, timeout=60, check=False)


def test_https_is_there_after_one_setup_and_one_deploy(site: Site) -> None:
    """Names that lead elsewhere are named, and keep no other from its certificate. No order is made for them."""
    here = site.server.address
    site.configure(FIRST, LATER, NOWHERE)
    site.world.lead(shop_test=here, www_shop_test=here, later_test=ELSEWHERE, six_test=f"{here} 2001:db8::1")
    ended = site.app.teal("setup").ok()
    why = ended.out.splitlines()[-1]
    assert why.startswith("https: not yet: ")
    assert f"A {ELSEWHERE} leads elsewhere: it refuses connections to port 80 ({LATER})" in why
    assert "AAAA 2001:db8::1 leads elsewhere" in why
    site.app.deploy().ok()
    answer = curl(site, f"https://{FIRST}/", "--write-out", "\n%{http_version}")
    assert answer.returncode == 0, answer.stderr
    body, version = answer.stdout.rsplit("\n", 1)
    assert (json.loads(body)["app"], version) == ("shop", "2")
    assert curl(site, f"https://{LATER}/").returncode == 60, "no certificate for a name that leads elsewhere"
    redirected = curl(site, f"http://{ALIAS}/a?b=c", "--write-out", "%{redirect_url}", "--output", "/dev/null")
    assert redirected.stdout == f"https://{FIRST}/a?b=c"
    assert curl(site, f"http://{LATER}/").stdout.startswith("{"), "a name without a certificate stays on HTTP"


def test_next_setup_adds_the_names_that_lead_here_meanwhile(site: Site) -> None:
    here = site.server.address
    site.configure(FIRST, LATER)
    site.world.lead(shop_test=here, www_shop_test=here, later_test=here)
    before = site.server.run("cat", f"{TLS}/privkey.pem").stdout
    assert site.setup() == {"state": "ready", "names": [FIRST, LATER, ALIAS], "why": ""}
    assert site.server.run("cat", f"{TLS}/privkey.pem").stdout == before, "the key stays the same"
    assert site.server.run("stat", "-c", "%a %U %G", TLS, f"{TLS}/privkey.pem").stdout.split() == [
        *("750", "root", "www-data", "640", "root", "www-data"),
    ]


def test_renewal_by_certbots_timer_loses_no_request_and_reloads_nothing(site: Site) -> None:
    site.make_due()
    workers, serials = site.workers(), {site.serial()}
    with tls_visitors(site.server.address, site.authority.root, FIRST) as visitors:
        for _ in range(RENEWALS):
            ran = site.server.run("systemctl", "start", "certbot.service")
            assert ran.returncode == 0, site.server.run("journalctl", "-u", "certbot").stdout[-3000:]
            wait_until(lambda: site.serial() not in serials, deadline_s=10)
            serials.add(site.serial())
            visitors.wait_for(5)
        assert visitors.lost == []
    assert len(serials) == 1 + RENEWALS
    assert site.workers() == workers


def test_full_disk_in_the_hook_is_mended_by_the_daily_timer(site: Site) -> None:
    fill = f"cp -a {TLS} /run/tls && mount -t tmpfs -o size=64k,mode=750,gid=www-data tmpfs {TLS} && "
    fill += f"cp -a /run/tls/. {TLS} && dd if=/dev/zero of={TLS}/full bs=1k count=64"
    assert "No space left" in site.server.run("sh", "-c", fill).stderr
    before = site.serial()
    site.server.run("systemctl", "start", "certbot.service")
    words = site.server.run("journalctl", "--identifier", "teal").stdout
    assert "No space left on device" in words, words
    assert site.serial() == before, "the site goes on"
    site.server.run("rm", f"{TLS}/full")
    assert "teal-certificates.timer" in site.server.run("systemctl", "list-timers", "--all").stdout
    ran = site.server.run("systemctl", "start", "teal-certificates.service")
    assert ran.returncode == 0, site.server.run("journalctl", "-u", "teal-certificates").stdout[-3000:]
    assert site.serial() != before
    copied = f"cp -a {TLS}/. /run/tls/ && umount {TLS} && cp -a /run/tls/. {TLS}"
    assert site.server.run("sh", "-c", copied).returncode == 0
    assert site.serial() != before


def test_daily_timer_reloads_an_nginx_whose_workers_may_not_read_the_key(site: Site) -> None:
    """As where another program runs as nginx's user. The old workers end, because the certificate is new."""
    workers = site.workers()
    site.server.run("chmod", "600", f"{TLS}/privkey.pem")
    site.server.run("sh", "-c", f"echo >> {TLS}/fullchain.pem")
    ran = site.server.run("systemctl", "start", "teal-certificates.service")
    site.server.run("chmod", "640", f"{TLS}/privkey.pem")
    assert ran.returncode == 0
    wait_until(lambda: not {*site.workers()} & {*workers})


def test_refused_challenge_is_one_sentence_and_the_site_goes_on(site: Site) -> None:
    """The authority's name server may know another address than that of the client."""
    here, before = site.server.address, site.serial()
    site.authority.address("wrong.test", ELSEWHERE)
    site.world.lead(shop_test=here, www_shop_test=here, later_test=here, wrong_test=here)
    site.configure(FIRST, LATER, "wrong.test")
    https = site.setup()
    assert (https["state"], https["names"]) == ("pending", [FIRST, LATER, ALIAS])
    assert https["why"].startswith("wrong.test: ")
    assert "onnection refused" in https["why"]
    assert "\n" not in https["why"]
    assert site.serial() == before


def test_authority_that_is_down_leaves_the_site_as_it_is(site: Site) -> None:
    here, before = site.server.address, site.serial()
    site.world.lead(shop_test=here, www_shop_test=here, later_test=here, new_test=here)
    site.configure(FIRST, LATER, "new.test")
    site.authority.stop()
    https = site.setup()
    assert (https["state"], https["names"]) == ("pending", [FIRST, LATER, ALIAS])
    assert "onnection" in https["why"]
    assert site.serial() == before


def test_destroy_takes_away_what_renews_a_certificate(site: Site) -> None:
    site.app.teal("destroy", "--yes").ok()
    paths = "ls -d /etc/letsencrypt/*/teal-shop* /etc/systemd/system/*teal* /etc/systemd/system/*/*teal* /etc/teal"
    assert site.server.run("sh", "-c", f"{paths} 2>/dev/null").stdout == ""
