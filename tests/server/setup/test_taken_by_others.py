"""What others have done to nginx: certbot wrote HTTPS into the app's file, or another server has port 80."""

import json
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Server
from harness.world import App, status_of
from server.setup.results import refusal
from server.test_https import NAME, ask, certified, told

SITE = "etc/nginx/conf.d/teal-shop.conf"
CERTBOT = """
    listen 443 ssl; # managed by Certbot
    ssl_certificate /etc/letsencrypt/live/example.com/fullchain.pem; # managed by Certbot
    ssl_certificate_key /etc/letsencrypt/live/example.com/privkey.pem; # managed by Certbot
}
server {
    if ($host = example.com) {
        return 301 https://$host$request_uri;
    } # managed by Certbot
    listen 80;
    server_name example.com;
    return 404; # managed by Certbot
}
"""


@pytest.fixture
def certificate(shared: Server, tmp_path: Path) -> Iterator[Path]:
    yield certified(shared, tmp_path)
    shutil.rmtree(shared.root / "etc/letsencrypt")


def edit_as_certbot(shared: Server) -> str:
    """What `certbot --nginx --redirect` makes of the app's file."""
    path = shared.root / SITE
    lines = [line for line in path.read_text().splitlines() if not line.strip().startswith("listen")]
    text = "\n".join(lines).rstrip().removesuffix("}") + CERTBOT
    path.write_text(text)
    shared.run("systemctl", "reload", "nginx")
    return text


class TestCertbot:
    @pytest.mark.hint("add these lines to [proxy] directives in teal.toml, then: teal setup --yes (HTTPS stays on)")
    def test_https_by_certbot_stays_until_teal_toml_has_it(self, shared: Server, app: App, certificate: Path) -> None:
        app.config(server={"domains": [NAME]})
        app.teal("setup").ok()
        first = app.deploy().ok().result["release"]
        app.program(version="v2")
        app.deploy().ok()
        text = edit_as_certbot(shared)
        app.program(version="v3")
        refused = app.deploy()
        assert (refused.code, refused.result["outcome"]) == (3, "refused")
        assert "certbot has put HTTPS into" in refused.result["error"]["message"]
        assert app.teal("rollback").code == 3
        for argument in ("--dry-run", "--yes"):
            assert "would take HTTPS off" in refusal(app, argument)["message"]
        assert (shared.root / SITE).read_text() == text
        findings = app.teal("doctor", "--json").result["findings"]
        cures = {finding["hint"] for finding in findings if "HTTPS" in finding["says"]}
        assert [cure for cure in cures if "directives" not in cure] == []
        assert cures
        assert told(ask(shared, "/", certificate))["version"] == "v2"

        toml = tomllib.loads("\n".join(refused.result["error"]["evidence"]))
        app.config(server={"domains": [NAME]}, proxy=toml["proxy"])
        app.teal("setup", "--yes").ok()
        app.deploy().ok()
        assert told(ask(shared, "/", certificate))["version"] == "v3"
        assert app.teal("rollback", "--json", first).ok().result["release"] == first


class TestPort80:
    @pytest.fixture
    def other(self, shared: Server, app: App) -> Iterator[None]:
        """Makes another web server take port 80, so nginx does not start with its welcome page."""
        shared.run("systemctl", "stop", "nginx")
        shared.run("systemd-run", "--unit=apache", "/usr/bin/python3", "-m", "http.server", "80")
        shared.run("sh", "-c", "until ss -ltn | grep -q :80; do sleep 0.1; done")
        yield
        shared.run("systemctl", "stop", "apache")
        shared.run("ln", "-sf", "/etc/nginx/sites-available/default", "/etc/nginx/sites-enabled/default")
        shared.run("systemctl", "start", "nginx")

    @pytest.mark.usefixtures("other")
    def test_hint_on_a_taken_port_leads_to_an_app_that_serves(self, shared: Server, app: App) -> None:
        hint = refusal(app)["hint"]
        assert hint.startswith("choose another: [server] http_port = ")
        port = json.loads(hint.split("= ")[1])
        app.config(server={"http_port": port})
        app.teal("setup").ok()
        app.deploy().ok()
        assert status_of(f"http://{shared.address}:{port}/") == 200
        assert status_of(f"http://{shared.address}/") == 200
        app.teal("destroy", "-y").ok()  # the welcome page stays away: nginx would not start with it
        assert shared.run("systemctl", "restart", "nginx").returncode == 0
        assert status_of(f"http://{shared.address}/") == 200
