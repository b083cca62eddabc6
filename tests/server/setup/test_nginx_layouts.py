"""`teal setup` asks nginx where it reads its configuration, and finds another layout than that of Debian."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harness import Server
from harness.world import App, World, wait_until
from hints.walk import hint_of, type_in
from server.setup.nginx_state import get, site
from server.setup.results import OTHERS, differing, refusal, setup_changes


class TestLayouts:
    def test_setup_follows_another_main_file_user_and_port_of_nginx(
        self, shared: Server, world: World, put: Any
    ) -> None:
        """Setup asks nginx where it reads its configuration and as which user its workers run."""
        put("/opt/x/sites/static", site("static.example", "8070"))
        put("/opt/x/nginx.conf", MAIN.format(user="games", more="include sites/*;"))
        put("/etc/systemd/system/nginx.service.d/x.conf", UNIT)
        with restarted(shared):
            app = world.app("shop")
            app.config(server={"http_port": 8070})
            reload = "reload nginx (an idle connection that the reload closes may cost its client one request)"
            assert f"write /opt/x/sites/teal-shop.conf; {reload}" in setup_changes(app)
            app.deploy().ok()
            assert get(shared, "whatever.example", 8070).startswith("200 {")
            assert get(shared, "static.example", 8070).startswith("200 static.example")
            app.program(version="v2")
            assert app.deploy().ok().result["color"] == "green"
            assert '"v2"' in get(shared, "whatever.example", 8070)
            app.teal("destroy", "-y").ok()

    @pytest.mark.hint("add to its http block: include {}/conf.d/*.conf;")
    def test_setup_refuses_a_main_file_that_includes_no_directory(self, shared: Server, world: World, put: Any) -> None:
        more = site("static.example", "8070")
        put("/opt/x/nginx.conf", MAIN.format(user="www-data", more=more))
        put("/etc/systemd/system/nginx.service.d/x.conf", UNIT)
        app = world.app("shop")
        with restarted(shared):
            error = refusal(app)
            assert "/opt/x/nginx.conf reads no directory" in error["message"]
            line = hint_of(error, "add to its http block: include {}/conf.d/*.conf;").partition(": ")[2]
            assert line == "include /opt/x/conf.d/*.conf;"
            put("/opt/x/nginx.conf", MAIN.format(user="www-data", more=f"{more}\n{line}"))
            app.teal("setup").ok()
            app.deploy().ok()
            app.teal("destroy", "-y").ok()

    def test_setup_makes_an_included_directory_that_is_missing(self, shared: Server, world: World, put: Any) -> None:
        put("/opt/x/nginx.conf", MAIN.format(user="www-data", more="include conf.d/*.conf;"))
        put("/etc/systemd/system/nginx.service.d/x.conf", UNIT)
        with restarted(shared):
            app = world.app("shop")
            app.teal("setup").ok()
            assert (shared.root / "opt/x/conf.d/teal-shop.conf").is_file()
            app.teal("destroy", "-y").ok()

    @pytest.mark.row("D5")
    @pytest.mark.hint("teal ssh -- {}systemctl start nginx (if nginx does not start: teal doctor)")
    def test_setup_starts_a_stopped_nginx_and_a_deploy_without_nginx_is_refused(self, shared: Server, app: App) -> None:
        shared.run("systemctl", "stop", "nginx")
        try:
            assert "teal-shop.conf; start nginx" in " ".join(setup_changes(app, "--dry-run"))
            app.teal("setup").ok()
            app.deploy().ok()
            app.program(version="v2")
            shared.run("systemctl", "stop", "nginx")
            before = shared.files(ignoring=OTHERS)
            refused = app.deploy()
            assert (refused.code, "nginx does not run" in refused.result["error"]["message"]) == (10, True)
            changed = differing(before, shared.files(ignoring=OTHERS))
            assert [path for path in changed if not path.endswith("lock")] == []
            text = "teal ssh -- {}systemctl start nginx (if nginx does not start: teal doctor)"
            type_in(app, hint_of(refused.result["error"], text).partition(" (")[0])
            assert app.deploy().ok().result["outcome"] == "live"
            shared.run("systemctl", "stop", "nginx")
            app.teal("destroy", "-y").ok()
            assert shared.run("systemctl", "is-active", "nginx").stdout.strip() == "inactive"
        finally:
            shared.run("systemctl", "start", "nginx")

    @pytest.mark.parametrize("stopped", [True, False])
    def test_setup_refuses_a_port_of_another_program(self, shared: Server, app: App, stopped: bool) -> None:
        port = 80 if stopped else 8085
        app.config(server={"http_port": port})
        if stopped:
            shared.run("systemctl", "stop", "nginx")
        shared.run("systemd-run", "--unit=other", "python3", "-m", "http.server", "--bind", "0.0.0.0", str(port))
        try:
            wait_until(lambda: get(shared, "x", port).startswith("200"))
            error = refusal(app)
            assert re.fullmatch(rf"port {port} is taken by python3\S* \(process \d+\)", error["message"])
            assert "http_port" in error["hint"]
        finally:
            shared.run("systemctl", "stop", "other")
            shared.run("systemctl", "start", "nginx")

    def test_setup_ignores_an_nginx_that_a_user_started(self, shared: Server, app: App, put: Any) -> None:
        main = MAIN.format(user="www-data", more=site("static.example", "8070"))
        put("/opt/x/nginx.conf", main.replace("/run/nginx.pid", "/run/own.pid"))
        shared.run(
            "systemd-run", "--unit=own", "--slice=user.slice", "nginx", "-c", "/opt/x/nginx.conf", "-g", "daemon off;"
        )
        wait_until(lambda: get(shared, "x", 8070).startswith("200"))
        try:
            shared.run("systemctl", "restart", "nginx")  # so that it has the higher PID
            assert "write /etc/nginx/conf.d/teal-shop.conf; reload nginx" in " ".join(setup_changes(app))
        finally:
            shared.run("systemctl", "stop", "own")


MAIN = """\
user {user};
pid /run/nginx.pid;
events {{ }}
http {{
    access_log off;
    {more}
}}
"""


UNIT = "[Service]\nExecStart=\nExecStart=/usr/sbin/nginx -c /opt/x/nginx.conf\nExecStartPre=\nExecReload=\nExecStop=\n"


@contextmanager
def restarted(server: Server) -> Iterator[None]:
    """Restarts nginx with another unit, and as before once `put` has removed the unit."""
    server.run("systemctl", "daemon-reload")
    server.run("systemctl", "restart", "nginx")
    try:
        yield
    finally:
        drop_in = server.root / "etc/systemd/system/nginx.service.d/x.conf"
        drop_in.unlink()
        server.run("systemctl", "daemon-reload")
        server.run("systemctl", "restart", "nginx")
