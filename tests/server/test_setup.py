"""`teal setup` lives beside what is there: it changes only what is its own, and takes all of that back."""

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import harness
from contract.judge import judged
from harness import Server
from harness.machine import make_key
from harness.world import REPO, App, Ended, World, at_server, wait_until
from teal_host.wire.app import AppSpec, Health, Keep, Run, Site, Verify
from teal_host.wire.frames import write_frame
from teal_host.wire.manifest import Origin
from teal_host.wire.messages import Commit, Destroy, Setup, to_header

OTHERS = (
    *("/var/lib/apt", "/var/lib/dpkg", "/etc/.pwd.lock", "/root/.bash_history", "/var/lib/teal-tests"),
    *("/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-"),
)
# These tests start nginx more often than systemd would let anybody, and what is in /run is in no list of files.
NO_LIMIT = """\
mkdir -p /run/systemd/system/nginx.service.d
printf '[Unit]\\nStartLimitIntervalSec=0\\n' > /run/systemd/system/nginx.service.d/no-limit.conf
systemctl daemon-reload
"""
EVERY = "3"  # of the acts of setup is killed at, so that it stays short; odd ones are set up again, even ones are not


@pytest.fixture(scope="module")
def shared(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With nginx, and sudo; what a test does to it, it undoes."""
    with harness.server(debian, tmp_path_factory.mktemp("shared"), packages=["nginx", "sudo"]) as booted:
        booted.run("sh", "-c", NO_LIMIT)
        yield booted


@pytest.fixture
def world(shared: Server, tmp_path: Path) -> Iterator[World]:
    """Whose end leaves the server as it was."""
    before = shared.files(ignoring=OTHERS)
    made = at_server(tmp_path / "home", shared)
    yield made
    for app in made.apps:
        assert app.teal("destroy", "-y", "--wait", "20").code in (0, 2)
    assert differing(before, shared.files(ignoring=OTHERS)) == []


@pytest.fixture
def app(world: World) -> App:
    return world.app("shop")


@pytest.fixture
def put(shared: Server) -> Iterator[Callable[[str, str], Path]]:
    """Put a file of an admin's onto the server, for one test."""
    made: list[Path] = []

    def write(path: str, text: str) -> Path:
        full = shared.root / path.lstrip("/")
        for parent in [*reversed(full.parents)]:
            if not parent.exists():
                parent.mkdir()
                made.append(parent)
        made.append(full)
        full.write_text(text)
        return full

    yield write
    for path in reversed(made):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    reload(shared)


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(path for path in one | other if one.get(path) != other.get(path))


def says(app: App, *arguments: str) -> list[str]:
    return [change["says"] for change in told(app.teal("setup", "--json", *arguments).ok())["changes"]]


def refusal(app: App, *arguments: str, code: int = 3) -> dict[str, Any]:
    ended = app.teal("setup", "--json", *arguments)
    assert ended.code == code, ended
    error = told(ended)["error"]
    assert isinstance(error, dict)
    assert error["exit_code"] == code
    return error


def told(ended: Ended) -> dict[str, Any]:
    """The result, all of whose lines are as the schemas say."""
    *events, result = ended.lines
    for event in events:
        judged("deploy-event", event)
    return judged("setup", result)


def reload(server: Server) -> None:
    assert server.run("systemctl", "reload-or-restart", "nginx").returncode == 0


def nginx(server: Server) -> tuple[int, frozenset[str]]:
    """Its master, and its workers: new ones after each reload."""
    master = server.run("cat", "/run/nginx.pid").stdout.strip()
    return int(master), frozenset(server.run("pgrep", "-P", master).stdout.split())


def nginx_takes_what_is_there(server: Server) -> bool:
    return server.run("nginx", "-t").returncode == 0


def get(server: Server, name: str, port: int = 80, address: str = "127.0.0.1") -> str:
    return server.run("python3", "-c", _GET, name, str(port), address).stdout


_GET = """
import http.client, sys
line = http.client.HTTPConnection(sys.argv[3], int(sys.argv[2]), timeout=5)
line.request("GET", "/", headers={"Host": sys.argv[1]})
answer = line.getresponse()
print(answer.status, answer.read().decode(errors="replace"))
"""


def test_setup_does_exactly_what_its_plan_says_and_does_it_once(shared: Server, app: App) -> None:
    before = shared.files(ignoring=OTHERS)
    would = says(app, "--dry-run")
    assert differing(before, shared.files(ignoring=OTHERS)) == []
    assert says(app) == would
    after = shared.files(ignoring=OTHERS)
    again = app.teal("setup").ok()
    assert again.out == "shop is set up already; nothing to do\n"
    assert differing(after, shared.files(ignoring=OTHERS)) == []
    assert says(app) == []


def test_plan_shows_the_text_of_new_files_and_never_the_token_of_the_probe(shared: Server, app: App) -> None:
    shown = app.teal("setup", "--dry-run", "-v").ok().err
    plan = told(app.teal("setup", "--dry-run", "--json").ok())["changes"]
    assert not any("      " in line for line in app.teal("setup", "--dry-run").ok().err.splitlines())
    app.teal("setup").ok()
    token = json.loads((shared.root / "etc/teal/shop/app.json").read_text())["token"]
    unit = (shared.root / "etc/systemd/system/teal-shop@.service").read_text().splitlines()
    site = (shared.root / "etc/nginx/conf.d/teal-shop.conf").read_text()
    texts = [change["text"] for change in plan if change["text"]]
    recovery = (shared.root / "etc/systemd/system/teal-shop-recover.service").read_text().splitlines()
    assert unit in texts
    assert recovery in texts
    (route,) = [text for text in texts if text not in (unit, recovery)]
    spoken = site.replace(token, "(token)").splitlines()
    assert [(a, b) for a, b in zip(spoken, route, strict=True) if a != b and "(generation)" not in b] == []
    assert all(f"      {line}" in shown.splitlines() for line in (*unit, *route) if line)
    assert not re.search("[0-9a-f]{32}", shown + json.dumps(plan))


def test_setup_reloads_nginx_once_and_no_other_command_reloads_it(shared: Server, app: App) -> None:
    master, workers = nginx(shared)
    app.teal("setup").ok()
    journal = shared.run("journalctl", "--no-pager", "-u", "nginx", "-o", "cat")
    set_up = nginx(shared)
    assert (set_up[0], set_up[1] & workers) == (master, frozenset()), journal.stdout
    app.deploy().ok()
    app.program(version="v2")
    app.deploy().ok()
    app.teal("rollback").ok()
    app.teal("setup").ok()
    assert nginx(shared) == set_up


class TestForeignSites:
    def test_foreign_site_with_its_own_domain_stays_as_it_was(self, shared: Server, app: App, put: Any) -> None:
        put("/etc/nginx/sites-enabled/static", site("static.example", "80"))
        reload(shared)
        app.teal("setup").ok()
        assert get(shared, "static.example").startswith("200 static.example")
        app.deploy().ok()
        assert get(shared, "whatever.example").startswith("200")
        assert get(shared, "static.example").startswith("200 static.example")

    def test_foreign_default_site_is_kept_and_setup_asks_for_domains(self, shared: Server, app: App, put: Any) -> None:
        put("/etc/nginx/conf.d/mine.conf", site("_", "8090 default_server"))
        app.config(server={"http_port": 8090})
        reload(shared)
        before = shared.files(ignoring=OTHERS)
        error = refusal(app)
        assert "/etc/nginx/conf.d/mine.conf:1" in error["message"]
        assert "/etc/nginx/conf.d/teal-shop.conf" in error["message"]
        assert "domains" in error["hint"]
        assert differing(before, shared.files(ignoring=OTHERS)) == []
        app.config(server={"http_port": 8090, "domains": ["shop.example"]})
        app.teal("setup").ok()
        app.deploy().ok()
        assert get(shared, "shop.example", 8090).startswith("200 {")
        assert get(shared, "other.example", 8090).startswith("200 _")

    def test_welcome_page_gives_way_and_comes_back(self, shared: Server, app: App) -> None:
        link = shared.root / "etc/nginx/sites-enabled/default"
        assert "default gives way" in " ".join(says(app, "--dry-run"))
        assert link.is_symlink()
        app.teal("setup").ok()
        assert not link.is_symlink()
        app.config(server={"domains": ["shop.example"]})
        assert "default comes back" in " ".join(says(app))
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
    def test_domain_that_a_foreign_site_serves_is_refused(self, app: App, shared: Server, put: Any) -> None:
        put("/etc/nginx/sites-enabled/static", "\n\n" + site("static.example", "80"))
        app.config(server={"domains": ["shop.example", "static.example"]})
        message = refusal(app)["message"]
        assert message == "static.example is served on port 80 by /etc/nginx/sites-enabled/static:3 already"

    def test_default_page_of_nginx_org_is_named_in_the_refusal(self, app: App, shared: Server, put: Any) -> None:
        put("/etc/nginx/conf.d/default.conf", site("localhost", "80"))
        assert "/etc/nginx/conf.d/default.conf:1" in refusal(app)["message"]

    def test_site_joins_foreign_sites_on_exact_addresses_only_with_domains(
        self, shared: Server, app: App, put: Any
    ) -> None:
        """A wildcard could not be bound beside them, so a site with names joins them, and one without is refused."""
        put("/etc/nginx/conf.d/exact.conf", site("static.example", f"{shared.address}:8066"))
        reload(shared)
        app.config(server={"http_port": 8066})
        assert "/etc/nginx/conf.d/exact.conf:1" in refusal(app)["message"]
        app.config(server={"http_port": 8066, "domains": ["shop.example"]})
        app.teal("setup").ok()
        app.deploy().ok()
        assert get(shared, "shop.example", 8066).startswith("200 {")
        assert get(shared, "shop.example", 8066, shared.address).startswith("200 {")
        assert get(shared, "static.example", 8066, shared.address).startswith("200 static")

    def test_second_app_is_refused_the_default_site_and_the_domain_of_the_first(self, world: World, app: App) -> None:
        app.teal("setup").ok()
        other = world.app("blog")
        assert "default site of port 80 is the app shop" in refusal(other)["message"]
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


def site(name: str, listen: str) -> str:
    return f"server {{ listen {listen}; server_name {name}; return 200 {name}; }}\n"


def test_setup_killed_at_any_act_is_completed_by_the_next_setup(shared: Server, world: World) -> None:
    """The next setup completes it, and destroy takes back a half one; nginx never has what it would refuse."""
    place = shared.root / "root/killed"
    shutil.copytree(REPO / "src/teal_host", place / "teal_host")
    for script in ("server/killed_setup.py", "harness/listing.py"):
        shutil.copy(REPO / "tests" / script, place)
    key = make_public_key(world.home)
    who = Origin("ada", "laptop")
    spec = AppSpec("shop", Site(), Run(("./shop",)), Health(), Verify(), Keep())
    messages = [framed(message).hex() for message in (Setup(spec, who, key), Commit(), Destroy("shop", who))]
    try:
        ran = shared.run("python3", "/root/killed/killed_setup.py", *messages, EVERY, deadline_s=500)
    finally:
        shutil.rmtree(place)
    rounds = [json.loads(line) for line in ran.stdout.splitlines()]
    assert not ran.stderr
    bad = [one for one in rounds if one["left"] or not (one["nginx"] and one["nginx after"])]
    assert not bad, json.dumps(bad, indent=1)
    assert (len(rounds) > 10, rounds[-1]["killed"]) == (True, "")


def framed(message: Any) -> bytes:
    whole = io.BytesIO()
    write_frame(whole, to_header(message))
    return whole.getvalue()


def make_public_key(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    make_key(folder / "deploy_key", "ci")
    return (folder / "deploy_key.pub").read_text().strip()


class TestLayouts:
    def test_setup_follows_another_main_file_user_and_port_of_nginx(
        self, shared: Server, world: World, put: Any
    ) -> None:
        """nginx is asked, not assumed: where it reads, as whom its workers look."""
        put("/opt/x/sites/static", site("static.example", "8070"))
        put("/opt/x/nginx.conf", MAIN.format(user="games", more="include sites/*;"))
        put("/etc/systemd/system/nginx.service.d/x.conf", UNIT)
        with restarted(shared):
            app = world.app("shop")
            app.config(server={"http_port": 8070})
            assert "write /opt/x/sites/teal-shop.conf; reload nginx" in says(app)
            app.deploy().ok()
            assert get(shared, "whatever.example", 8070).startswith("200 {")
            assert get(shared, "static.example", 8070).startswith("200 static.example")
            app.program(version="v2")
            assert app.deploy().ok().result["color"] == "green"
            assert '"v2"' in get(shared, "whatever.example", 8070)
            app.teal("destroy", "-y").ok()

    def test_setup_refuses_a_main_file_that_includes_no_directory(self, shared: Server, world: World, put: Any) -> None:
        put("/opt/x/nginx.conf", MAIN.format(user="www-data", more=site("static.example", "8070")))
        put("/etc/systemd/system/nginx.service.d/x.conf", UNIT)
        with restarted(shared):
            error = refusal(world.app("shop"))
        assert "/opt/x/nginx.conf reads no directory" in error["message"]
        assert error["hint"] == "add to its http block: include /opt/x/conf.d/*.conf;"

    def test_setup_makes_an_included_directory_that_is_missing(self, shared: Server, world: World, put: Any) -> None:
        put("/opt/x/nginx.conf", MAIN.format(user="www-data", more="include conf.d/*.conf;"))
        put("/etc/systemd/system/nginx.service.d/x.conf", UNIT)
        with restarted(shared):
            app = world.app("shop")
            app.teal("setup").ok()
            assert (shared.root / "opt/x/conf.d/teal-shop.conf").is_file()
            app.teal("destroy", "-y").ok()

    @pytest.mark.row("D5")
    def test_setup_starts_a_stopped_nginx_and_a_deploy_without_nginx_is_refused(self, shared: Server, app: App) -> None:
        shared.run("systemctl", "stop", "nginx")
        try:
            assert "teal-shop.conf; start nginx" in " ".join(says(app, "--dry-run"))
            app.teal("setup").ok()
            app.deploy().ok()
            app.program(version="v2")
            shared.run("systemctl", "stop", "nginx")
            before = shared.files(ignoring=OTHERS)
            refused = app.deploy()
            assert (refused.code, "nginx does not run" in refused.result["error"]["message"]) == (10, True)
            assert refused.result["error"]["hint"].startswith("systemctl start nginx")
            changed = differing(before, shared.files(ignoring=OTHERS))
            assert [path for path in changed if not path.endswith("lock")] == []
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
            shared.run("systemctl", "restart", "nginx")  # so that its number is the higher one
            assert "write /etc/nginx/conf.d/teal-shop.conf; reload nginx" in " ".join(says(app))
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
    """nginx with another unit, and as before at the end of the test, when `put` has taken the unit away."""
    server.run("systemctl", "daemon-reload")
    server.run("systemctl", "restart", "nginx")
    try:
        yield
    finally:
        drop_in = server.root / "etc/systemd/system/nginx.service.d/x.conf"
        drop_in.unlink()
        server.run("systemctl", "daemon-reload")
        server.run("systemctl", "restart", "nginx")


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
        for text, says in self.MISTAKES:
            broken = put(self.BROKEN, text)
            assert refusal(app)["evidence"] == [f"{self.BROKEN}{says}"]
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
    def test_directive_that_nginx_rejects_changes_nothing(self, shared: Server, app: App) -> None:
        app.teal("setup").ok()
        app.deploy().ok()
        before = shared.files(ignoring=OTHERS)
        for arguments in (["--dry-run"], []):
            app.config(proxy={"directives": ["gzip perhaps;"]})
            assert "refuses 'gzip perhaps;'" in refusal(app, *arguments)["message"]
            app.config(proxy={"directives": ["limit_req zone=nowhere;"]})  # which nginx refuses without a line
            error = refusal(app, *arguments)
            assert ("nowhere" in error["evidence"][0], "[proxy]" in error["hint"]) == (True, True)
        assert differing(before, shared.files(ignoring=OTHERS)) == []
        app.config()
        app.program(version="v2")
        app.deploy().ok()

    @pytest.mark.row("D9")
    def test_setup_does_not_agree_on_a_site_that_nginx_does_not_serve(self, shared: Server, app: App) -> None:
        """A redirect of everything catches Teal's own question, too."""
        app.teal("setup").ok()
        live = app.deploy().ok().result["release"]
        app.config(proxy={"directives": ["return 301 https://a.test$request_uri;"]})
        error = refusal(app, code=1)
        assert ("answers 301" in error["message"], "leave that path out" in error["hint"]) == (True, True)
        assert "[proxy]" in says(app, "--dry-run")[-1], "and the next setup would be refused again"
        app.config()
        status = app.status()
        assert (status["colors"][status["live"]]["release"], status["notes"]) == (live, [])
        assert app.deploy().ok().result["outcome"] == "unchanged"
        app.config(proxy={"read_timeout_s": 60})
        (*_, agreed) = says(app)
        assert "[proxy]" in agreed


class TestHandEdits:
    FILES = ("etc/systemd/system/teal-shop@.service", "etc/nginx/conf.d/teal-shop.conf", "etc/sudoers.d/teal-shop")

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.row("D14", "D15")
    def test_hand_edit_is_shown_and_not_overwritten_silently(self, shared: Server, app: App, name: str) -> None:
        make_public_key(app.directory)
        app.teal("setup", "--deploy-key", "deploy_key.pub").ok()
        path = shared.root / name
        as_it_should_be = path.read_text()
        path.write_text(as_it_should_be.replace("\n", "\n# by hand\n", 1))
        before = shared.files(ignoring=OTHERS)
        (change,) = app.teal("setup", "--dry-run", "--json").ok().result["changes"]
        assert change["edited"]
        assert "-# by hand" in change["diff"]
        refused = app.teal("setup")
        assert (refused.code, "-# by hand" in refused.err, "--yes" in refused.err) == (2, True, True)
        assert differing(before, shared.files(ignoring=OTHERS)) == []
        app.teal("setup", "--yes").ok()
        assert path.read_text() == as_it_should_be
        path.unlink()
        (change,) = app.teal("setup", "--json").ok().result["changes"]
        assert not change["edited"]
        assert path.read_text() == as_it_should_be
        path.chmod(0o600)
        (change,) = app.teal("setup", "--json").ok().result["changes"]
        assert not change["edited"]
        assert says(app) == []

    def test_hand_edit_that_nginx_rejects_is_overwritten_only_with_yes(self, shared: Server, app: App) -> None:
        app.teal("setup").ok()
        path = shared.root / self.FILES[1]
        as_it_should_be = path.read_text()
        path.write_text(as_it_should_be + "oops\n")
        assert "teal-shop.conf:" in app.teal("setup").err
        assert app.teal("setup").code == 2
        app.teal("setup", "--yes").ok()
        assert path.read_text() == as_it_should_be

    def test_file_from_before_setup_is_overwritten_only_with_yes(self, app: App, put: Any) -> None:
        put(self.FILES[0], "[Unit]\n")
        assert app.teal("setup").code == 2
        app.teal("setup", "--yes").ok()

    def test_change_of_teal_toml_is_not_taken_for_a_hand_edit(self, app: App) -> None:
        app.teal("setup").ok()
        app.config(sandbox={"memory_mb": 64}, proxy={"max_body_mb": 1})
        changes = app.teal("setup", "--json").ok().result["changes"]
        assert [change["edited"] for change in changes] == [False] * 3
        assert "+MemoryMax=64M" in changes[0]["diff"]


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
            plan = " ".join(says(app))
            assert section in plan or name in plan or str(port) in plan
            assert get(shared, name, port).startswith("200 {")  # the live color, with the new route
            app.deploy().ok()
            assert f'"v{number}"' in get(shared, name, port)

    def test_ports_move_over_two_deploys_without_a_stop_of_the_live_color(self, shared: Server, app: App) -> None:
        """The color that serves is not stopped for it."""
        app.config(run={"ports": {"blue": 8081, "green": 8082}})
        app.teal("setup").ok()
        app.config(run={"ports": {"blue": 8091, "green": 8092}})
        assert "8091" in " ".join(says(app)), "nothing runs yet, so both move"
        app.deploy().ok()
        app.program(version="v2")
        app.deploy().ok()  # green is live, blue is the standby
        app.config(run={"ports": {"blue": 8101, "green": 8102}})
        assert app.deploy().code == 3
        ended = app.teal("setup").ok()
        assert "stop the standby on blue" in ended.err
        assert (
            "green serves, so it stays on port 8092; it moves to 8102 with: teal deploy, then teal setup" in ended.err
        )
        again = app.teal("setup").ok()
        assert ("nothing to do" in again.out, "moves to 8102" in again.err) == (True, True)
        assert '"v2"' in get(shared, "x")
        app.program(version="v3")
        app.deploy().ok()
        app.teal("setup").ok()
        app.program(version="v4")
        app.deploy().ok()
        ports = {color: told["port"] for color, told in app.status()["colors"].items()}
        assert ports == {"blue": 8101, "green": 8102}
        assert app.teal("setup").ok().out == "shop is set up already; nothing to do\n"

    def test_setup_asks_for_yes_when_teal_toml_belongs_to_another_project(self, app: App) -> None:
        """It has the same name, and would take the place of what is live."""
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


class TestNames:
    @pytest.mark.parametrize("name", ["nginx", "dpkg", "systemd", "private"])
    def test_app_name_of_a_service_is_refused(self, shared: Server, world: World, name: str) -> None:
        before = shared.files(ignoring=OTHERS)
        app = world.app(name)
        assert "another name" in refusal(app)["hint"]
        assert differing(before, shared.files(ignoring=OTHERS)) == []

    @pytest.mark.parametrize("name", ["root", "deploy-the-very-long-name-of-31"])
    def test_app_name_that_only_resembles_a_reserved_name_is_accepted(self, world: World, name: str) -> None:
        app = world.app(name)
        app.teal("setup").ok()
        app.deploy().ok()

    def test_data_of_somebody_else_is_refused_and_kept(self, shared: Server, app: App, put: Any) -> None:
        put("/var/lib/shop/precious", "mine")
        assert "/var/lib/shop is on this server already" in refusal(app)["message"]
        assert app.teal("destroy", "-y").code == 2
        assert (shared.root / "var/lib/shop/precious").read_text() == "mine"

    def test_missing_writable_folder_is_refused_with_the_command_that_makes_it(
        self, shared: Server, app: App, put: Any
    ) -> None:
        app.config(sandbox={"writable": ["/srv/uploads"]})
        error = refusal(app)
        assert "no directory /srv/uploads" in error["message"]
        assert error["hint"].startswith("make it on the server: mkdir -p /srv/uploads")
        put("/srv/uploads/one", "")
        app.teal("setup").ok()


class TestDestroy:
    def test_destroy_works_when_files_were_removed_by_hand(self, shared: Server, app: App) -> None:
        app.teal("setup").ok()
        app.deploy().ok()
        for name in TestHandEdits.FILES[:2]:
            (shared.root / name).unlink()
        app.teal("destroy", "-y").ok()
        assert shared.run("pgrep", "-u", "teal-shop").returncode != 0
        gone = app.teal("destroy", "-y")
        assert (gone.code, "there is no app shop here" in gone.err) == (2, True)


class TestApt:
    """On a bare server of its own, because packages stay."""

    def test_setup_names_a_missing_network_and_waits_for_the_lock_of_another_apt(
        self, tmp_path: Path, debian: int
    ) -> None:
        with harness.server(debian, tmp_path / "bare") as bare:
            app = at_server(tmp_path / "home", bare).app("shop")
            bare.run("sh", "-c", "rm -rf /var/lib/apt/lists/*")
            wrong = bare.root / "etc/apt/apt.conf.d/99wrong"
            wrong.write_text('Acquire::http::Proxy "http://127.0.0.1:9"; Acquire::Retries "0";\n')
            before = bare.files(ignoring=OTHERS)
            would = says(app, "--dry-run")
            assert would[0] == "install nginx (apt-get install)"
            error = refusal(app, code=1)
            assert (error["message"], bool(error["evidence"])) == ("apt-get cannot install nginx", True)
            assert "apt-get update && apt-get install nginx" in error["hint"]
            left = differing(before, bare.files(ignoring=OTHERS))
            assert left == ["/var/lib/teal", "/var/lib/teal/shop", "/var/lib/teal/shop/lock"]
            wrong.unlink()
            bare.run("systemd-run", "--unit=apt-of-another", "python3", "-c", HOLD_THE_LOCK)
            wait_until(lambda: (bare.root / "var/lib/dpkg/held").exists())
            assert says(app) == would
            assert app.teal("setup").ok().out == "shop is set up already; nothing to do\n"
            app.deploy().ok()


HOLD_THE_LOCK = """
import fcntl, time
with open("/var/lib/dpkg/lock-frontend", "w") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    open("/var/lib/dpkg/held", "w")
    time.sleep(4)
"""


@pytest.fixture
def ada(shared: Server) -> Iterator[None]:
    shared.run("useradd", "-m", "-s", "/bin/bash", "ada")
    shutil.copytree(shared.root / "root/.ssh", shared.root / "home/ada/.ssh")
    shared.run("chown", "-R", "ada:", "/home/ada/.ssh")
    yield
    shared.run("pkill", "-u", "ada")
    wait_until(lambda: shared.run("userdel", "-r", "ada").returncode != 8)


class TestSudo:
    def test_user_with_sudo_sets_up_deploys_and_destroys(
        self, shared: Server, ada: None, tmp_path: Path, put: Any
    ) -> None:
        put("/etc/sudoers.d/ada", "ada ALL=(ALL) NOPASSWD: ALL\n")
        before = shared.files(ignoring=OTHERS)
        app = at_server(tmp_path / "home", shared, user="ada").app("shop")
        app.teal("setup").ok()
        app.deploy().ok()
        assert app.teal("setup").ok().out == "shop is set up already; nothing to do\n"
        app.teal("destroy", "-y").ok()
        assert differing(before, shared.files(ignoring=OTHERS)) == []

    def test_user_without_sudo_is_refused_and_changes_nothing(self, shared: Server, ada: None, tmp_path: Path) -> None:
        before = shared.files(ignoring=OTHERS)
        app = at_server(tmp_path / "home", shared, user="ada").app("shop")
        ended = app.teal("setup")
        assert (ended.code, "sudo" in ended.err) == (4, True)
        assert differing(before, shared.files(ignoring=OTHERS)) == []
