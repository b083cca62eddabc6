"""`teal setup` after a change of teal.toml, and the names and folders that a server cannot give to an app."""

import socket
from typing import Any

import pytest

from harness import Server
from harness.background import in_background
from harness.slow_upload import finish, upload
from harness.world import App, World
from hints.walk import hint_of, type_in
from server.setup.nginx_state import get
from server.setup.results import OTHERS, differing, refusal, setup_changes


class TestTealTomlChanged:
    CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
        ("[server]", {"server": {"http_port": 8071}}),
        ("[proxy]", {"proxy": {"read_timeout_s": 7}}),
        ("[sandbox]", {"sandbox": {"tasks": 99}}),
        ("[server]", {"server": {"domains": ["shop.example"]}}),
    )

    def test_deploy_asks_for_setup_after_a_change_of_teal_toml_and_then_works(self, shared: Server, app: App) -> None:
        app.teal("setup").ok()
        app.deploy().ok()
        for number, (section, change) in enumerate(self.CHANGES):
            app.config(**change)
            app.program(version=f"v{number}")
            refused = app.deploy().result["error"]
            assert (refused["exit_code"], section in refused["message"]) == (3, True)
            assert refused["hint"].startswith("teal setup")
            site = change.get("server", {})
            port, name = site.get("http_port", 80), site.get("domains", ["x"])[0]
            plan = " ".join(setup_changes(app))
            assert section in plan or name in plan or str(port) in plan
            assert get(shared, name, port).startswith("200 {")  # the live color, with the new route
            app.deploy().ok()
            assert f'"v{number}"' in get(shared, name, port)

    @pytest.mark.row("E22")
    def test_ports_move_over_two_deploys_without_a_stop_of_the_live_color(self, shared: Server, app: App) -> None:
        """The live color keeps running throughout."""
        app.config(run={"ports": {"blue": 8081, "green": 8082}})
        app.teal("setup").ok()
        app.config(run={"ports": {"blue": 8091, "green": 8092}})
        assert "8091" in " ".join(setup_changes(app)), "nothing runs yet, so both move"
        app.deploy().ok()
        app.program(version="v2")
        with upload(socket.create_connection((shared.address, 80), 120)) as visitor:
            app.deploy().ok()  # green is live, blue is the standby
            app.config(run={"ports": {"blue": 8101, "green": 8102}}, keep={"drain_s": 60})
            assert app.deploy().code == 3
            with in_background(app, "setup", "--json") as moving:
                moving.wait_for(type="step", name="drain", detail="waiting for the last work of blue")
                link = shared.root / "var/lib/teal/shop/fallback"
                assert link.is_symlink(), "a setup that is killed now would leave a standby that does not stand in"
                assert b"\r\nX-Color: blue\r\n" in finish(visitor)
                ended = moving.ended().ok()
        messages = "\n".join(line.get("text", line.get("detail", "")) for line in ended.lines)
        assert "stop the standby on blue" in messages
        assert "green serves, so it stays on port 8092; it moves to 8102 with: teal deploy, then teal setup" in messages
        again = app.teal("setup").ok()
        assert ("nothing to do" in again.out, "moves to 8102" in again.err) == (True, True)
        assert '"v2"' in get(shared, "x")
        app.program(version="v3")
        app.deploy().ok()
        app.teal("setup").ok()
        app.program(version="v4")
        app.deploy().ok()
        ports = {color: row["port"] for color, row in app.status()["colors"].items()}
        assert ports == {"blue": 8101, "green": 8102}
        assert app.teal("setup").ok().out == "shop is set up already; nothing to do\n"

    def test_setup_asks_for_yes_when_teal_toml_belongs_to_another_project(self, app: App) -> None:
        """The other project has the same name, and would replace what is live."""
        app.config(server={"domains": ["a.example", "www.a.example"]})
        app.teal("setup").ok()
        app.config(server={"domains": ["a.example", "b.example"]})
        app.teal("setup").ok()
        app.deploy().ok()
        app.config(server={"domains": ["other.example"]})
        refused = app.teal("setup")
        assert (refused.code, "is live as a.example, b.example now" in refused.err) == (2, True)
        assert "other.example on port 80 instead of a.example, b.example on port 80" in refused.err
        app.teal("setup", "--yes").ok()


ANOTHER_NAME = "choose another name for the app in teal.toml"


def rename(app: App) -> None:
    """Chooses another name for the app in its teal.toml."""
    path = app.directory / "teal.toml"
    path.write_text(path.read_text().replace(f'app = "{app.name}"', f'app = "{app.name}-two"'))


class TestNames:
    @pytest.mark.parametrize("name", ["nginx", "dpkg", "systemd", "private"])
    @pytest.mark.hint("choose another name for the app in teal.toml")
    def test_app_name_of_a_service_is_refused(self, shared: Server, world: World, name: str) -> None:
        before = shared.files(ignoring=OTHERS)
        app = world.app(name)
        assert hint_of(refusal(app), ANOTHER_NAME)
        assert differing(before, shared.files(ignoring=OTHERS)) == []
        rename(app)
        app.teal("setup").ok()

    @pytest.mark.parametrize("name", ["root", "deploy-the-very-long-name-of-31"])
    def test_app_name_that_only_resembles_a_reserved_name_is_accepted(self, world: World, name: str) -> None:
        app = world.app(name)
        app.teal("setup").ok()
        app.deploy().ok()

    def test_data_of_somebody_else_is_refused_and_kept(self, shared: Server, app: App, put: Any) -> None:
        put("/var/lib/shop/precious", "mine")
        error = refusal(app)
        assert "/var/lib/shop is on this server already" in error["message"]
        assert hint_of(error, ANOTHER_NAME)
        assert app.teal("destroy", "-y").code == 2
        rename(app)
        app.teal("setup").ok()
        app.deploy().ok()
        assert (shared.root / "var/lib/shop/precious").read_text() == "mine"

    @pytest.mark.hint("teal ssh -- {}mkdir -p {}; then teal setup; then teal ssh -- {}chown {}: {}")
    def test_missing_writable_folder_is_refused_with_the_command_that_makes_it(
        self, shared: Server, app: App, put: Any
    ) -> None:
        app.config(sandbox={"writable": ["/srv/uploads"]})
        error = refusal(app)
        assert "no directory /srv/uploads" in error["message"]
        text = "teal ssh -- {}mkdir -p {}; then teal setup; then teal ssh -- {}chown {}: {}"
        for command in hint_of(error, text).split("; then "):
            type_in(app, command)
        app.deploy().ok()
        assert shared.run("stat", "-c", "%U", "/srv/uploads").stdout == "teal-shop\n"
        app.teal("destroy", "-y").ok()
        shared.run("rmdir", "/srv/uploads")
