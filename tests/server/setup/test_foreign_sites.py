"""`teal setup` leaves the sites of others alone, and refuses where they are in the way or broken."""

import json
import re
from typing import Any

import pytest

from harness import Server
from harness.world import App, World
from hints.walk import hint_of
from server.setup.nginx_state import get, nginx, reload, site
from server.setup.results import OTHERS, differing, refusal, setup_changes

NAME_IT = 'name this one: [server] domains = ["example.com"] (or another http_port)'
CHANGE_DIRECTIVES = "change [proxy] directives in teal.toml; the routes are as they were"


def names_in(hint: str) -> list[str]:
    """The value that the hint writes for a key of teal.toml."""
    return list(json.loads(re.findall(r"\[\".*\"\]", hint)[0]))


class TestForeignSites:
    def test_foreign_site_with_its_own_domain_stays_as_it_was(self, shared: Server, app: App, put: Any) -> None:
        put("/etc/nginx/sites-enabled/static", site("static.example", "80"))
        reload(shared)
        app.teal("setup").ok()
        assert get(shared, "static.example").startswith("200 static.example")
        app.deploy().ok()
        assert get(shared, "whatever.example").startswith("200")
        assert get(shared, "static.example").startswith("200 static.example")

    @pytest.mark.hint('name this one: [server] domains = ["example.com"] (or another http_port)')
    def test_foreign_default_site_is_kept_and_setup_asks_for_domains(self, shared: Server, app: App, put: Any) -> None:
        put("/etc/nginx/conf.d/mine.conf", site("_", "8090 default_server"))
        app.config(server={"http_port": 8090})
        reload(shared)
        before = shared.files(ignoring=OTHERS)
        error = refusal(app)
        assert "/etc/nginx/conf.d/mine.conf:1" in error["message"]
        assert "/etc/nginx/conf.d/teal-shop.conf" in error["message"]
        (name,) = names_in(hint_of(error, NAME_IT))
        assert name == "example.com"
        assert differing(before, shared.files(ignoring=OTHERS)) == []
        app.config(server={"http_port": 8090, "domains": [name]})
        app.teal("setup").ok()
        app.deploy().ok()
        assert get(shared, name, 8090).startswith("200 {")
        assert get(shared, "other.example", 8090).startswith("200 _")

    def test_welcome_page_gives_way_and_comes_back(self, shared: Server, app: App) -> None:
        link = shared.root / "etc/nginx/sites-enabled/default"
        assert "default gives way" in " ".join(setup_changes(app, "--dry-run"))
        assert link.is_symlink()
        app.teal("setup").ok()
        assert not link.is_symlink()
        app.config(server={"domains": ["shop.example"]})
        assert "default comes back" in " ".join(setup_changes(app))
        assert link.is_symlink()
        assert "Welcome to nginx" in get(shared, "other.example")
        app.config()
        app.teal("setup").ok()
        assert not link.is_symlink()
        app.teal("destroy", "-y").ok()
        assert link.is_symlink()
        assert "Welcome to nginx" in get(shared, "other.example")

    def test_welcome_page_stays_when_the_app_has_domains(self, shared: Server, app: App) -> None:
        app.config(server={"domains": ["shop.example"]})
        app.teal("setup").ok()
        assert "Welcome to nginx" in get(shared, "other.example")

    def test_welcome_page_that_was_edited_by_hand_is_kept_and_setup_is_refused(self, shared: Server, app: App) -> None:
        page = shared.root / "etc/nginx/sites-available/default"
        text = page.read_text()
        page.write_text(text + "#")
        try:
            assert "/etc/nginx/sites-enabled/default:" in refusal(app)["message"]
        finally:
            page.write_text(text)

    @pytest.mark.row("D11")
    @pytest.mark.hint("remove the name there, or choose another: [server] domains")
    def test_domain_that_a_foreign_site_serves_is_refused(self, app: App, shared: Server, put: Any) -> None:
        put("/etc/nginx/sites-enabled/static", "\n\n" + site("static.example", "80"))
        app.config(server={"domains": ["shop.example", "static.example"]})
        error = refusal(app)
        assert error["message"] == "/etc/nginx/sites-enabled/static:3 serves static.example on port 80 already"
        assert hint_of(error, "remove the name there, or choose another: [server] domains")
        put("/etc/nginx/sites-enabled/static", "\n\n" + site("other.example", "80"))
        app.teal("setup").ok()
        app.config(server={"domains": ["other.example"]})
        refusal(app)
        app.config(server={"domains": ["another.example"]})
        app.teal("setup").ok()

    def test_default_page_of_nginx_org_is_named_in_the_refusal(self, app: App, shared: Server, put: Any) -> None:
        put("/etc/nginx/conf.d/default.conf", site("localhost", "80"))
        assert "/etc/nginx/conf.d/default.conf:1" in refusal(app)["message"]

    def test_site_joins_foreign_sites_on_exact_addresses_only_with_domains(
        self, shared: Server, app: App, put: Any
    ) -> None:
        """nginx cannot bind a wildcard beside exact addresses, so a site with names joins them, and a site without is
        refused.
        """
        put("/etc/nginx/conf.d/exact.conf", site("static.example", f"{shared.address}:8066"))
        reload(shared)
        app.config(server={"http_port": 8066})
        error = refusal(app)
        assert "/etc/nginx/conf.d/exact.conf:1" in error["message"]
        assert hint_of(error, NAME_IT)
        app.config(server={"http_port": 8066, "domains": ["shop.example"]})
        app.teal("setup").ok()
        app.deploy().ok()
        assert get(shared, "shop.example", 8066).startswith("200 {")
        assert get(shared, "shop.example", 8066, shared.address).startswith("200 {")
        assert get(shared, "static.example", 8066, shared.address).startswith("200 static")

    def test_second_app_is_refused_the_default_site_and_the_domain_of_the_first(self, world: World, app: App) -> None:
        app.teal("setup").ok()
        other = world.app("blog")
        error = refusal(other)
        assert "default site of port 80 is the app shop" in error["message"]
        other.config(server={"domains": names_in(hint_of(error, NAME_IT))})
        other.teal("setup", "--dry-run").ok()
        app.config(server={"domains": ["a.example"]})
        app.teal("setup").ok()
        other.config(server={"domains": ["b.example", "a.example"]})
        assert '"a.example" is served for the app shop already' in refusal(other)["message"]
        other.config(server={"domains": ["b.example"]})
        other.teal("setup").ok()
        app.deploy().ok()
        other.deploy().ok()
        app.teal("destroy", "-y").ok()
        assert other.teal("setup", "--dry-run").ok().out == "blog is set up already; nothing to do\n"
        assert other.deploy().ok().result["outcome"] == "unchanged"


class TestBrokenForeignConfiguration:
    BROKEN = "/etc/nginx/conf.d/broken.conf"
    MISTAKES = (
        ("server {\n    lissten 80;\n}\n", ':2: unknown directive "lissten"'),
        (
            "server {\n    location / { proxy_pass http://nobody.invalid; }\n}\n",
            ':2: host not found in upstream "nobody.invalid"',
        ),
    )

    @pytest.mark.row("D7", "D8")
    def test_setup_refuses_a_broken_foreign_configuration_and_deploys_go_on(
        self, shared: Server, app: App, put: Any
    ) -> None:
        app.teal("setup").ok()
        app.deploy().ok()
        before, serving = shared.files(ignoring=OTHERS), nginx(shared)
        app.config(server={"domains": ["shop.example"]})
        for text, expected in self.MISTAKES:
            broken = put(self.BROKEN, text)
            assert refusal(app)["evidence"] == [f"{self.BROKEN}{expected}"]
        gone = app.teal("destroy", "-y")
        assert (gone.code, f"{self.BROKEN}:2" in gone.err) == (3, True)
        app.config()
        changed = differing(before, shared.files(ignoring=OTHERS))
        assert [path for path in changed if not path.endswith("lock")] == [self.BROKEN]
        app.program(version="v2")
        app.deploy().ok()
        app.teal("rollback").ok()
        assert nginx(shared) == serving
        broken.unlink()

    @pytest.mark.row("D9")
    @pytest.mark.hint("change [proxy] directives in teal.toml; the routes are as they were")
    def test_directive_that_nginx_rejects_changes_nothing(self, shared: Server, app: App) -> None:
        app.teal("setup").ok()
        app.deploy().ok()
        before = shared.files(ignoring=OTHERS)
        for arguments in (["--dry-run"], []):
            app.config(proxy={"directives": ["gzip perhaps;"]})
            error = refusal(app, *arguments)
            assert "refuses 'gzip perhaps;'" in error["message"]
            assert hint_of(error, CHANGE_DIRECTIVES)
            app.config(proxy={"directives": ["limit_req zone=nowhere;"]})  # nginx refuses this without naming a line
            error = refusal(app, *arguments)
            assert ("nowhere" in error["evidence"][0], hint_of(error, CHANGE_DIRECTIVES)) == (True, CHANGE_DIRECTIVES)
        assert differing(before, shared.files(ignoring=OTHERS)) == []
        app.config(proxy={"directives": ["add_header X-A b;"]})
        app.teal("setup").ok()
        app.program(version="v2")
        app.deploy().ok()

    @pytest.mark.row("D9")
    @pytest.mark.hint("do [proxy] directives catch /.teal-…, which Teal asks? leave that path out of them")
    def test_setup_does_not_agree_on_a_site_that_nginx_does_not_serve(self, shared: Server, app: App) -> None:
        """A redirect of every request also redirects Teal's own probe."""
        app.teal("setup").ok()
        live = app.deploy().ok().result["release"]
        app.config(proxy={"directives": ["return 301 https://a.test$request_uri;"]})
        error = refusal(app, code=1)
        assert ("answers 301" in error["message"], "leave that path out" in error["hint"]) == (True, True)
        assert "[proxy]" in setup_changes(app, "--dry-run")[-1], "and the next setup would be refused again"
        app.config()
        status = app.status()
        assert (status["colors"][status["live"]]["release"], status["notes"]) == (live, [])
        assert app.deploy().ok().result["outcome"] == "unchanged"
        app.config(proxy={"read_timeout_s": 60})
        (*_, agreed) = setup_changes(app)
        assert "[proxy]" in agreed
        assert hint_of(error, "do [proxy] directives catch /.teal-…, which Teal asks? leave that path out of them")
        app.config(proxy={"directives": ["if ($uri = /old) { return 301 https://a.test$request_uri; }"]})
        app.teal("setup").ok()
        app.program(version="v2")
        app.deploy().ok()
