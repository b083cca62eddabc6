"""`teal setup` lives beside what is there: it changes only what is its own, and takes all of that back."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import servers
from servers import Server
from world import App, World, at_server

OTHERS = (
    *("/var/lib/apt", "/var/lib/dpkg", "/etc/.pwd.lock", "/root/.bash_history", "/var/lib/teal-tests"),
    *("/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-"),
)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With nginx, and sudo; what a test does to it, it undoes."""
    with servers.server(12, tmp_path_factory.mktemp("shared"), packages=["nginx", "sudo"]) as booted:
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
    changes = app.teal("setup", "--json", *arguments).ok().result["changes"]
    return [change["says"] for change in changes]


def refusal(app: App, *arguments: str, code: int = 3) -> dict[str, Any]:
    ended = app.teal("setup", "--json", *arguments)
    assert ended.code == code, ended
    error = ended.result["error"]
    assert isinstance(error, dict)
    return error


def reload(server: Server) -> None:
    assert server.run("systemctl", "reload-or-restart", "nginx").returncode == 0


def nginx(server: Server) -> tuple[int, frozenset[str]]:
    """Its master, and its workers: new ones after each reload."""
    master = server.run("cat", "/run/nginx.pid").stdout.strip()
    return int(master), frozenset(server.run("pgrep", "-P", master).stdout.split())


def nginx_takes_what_is_there(server: Server) -> bool:
    return server.run("nginx", "-t").returncode == 0


def get(server: Server, name: str, port: int = 80) -> str:
    return server.run("python3", "-c", _GET, name, str(port)).stdout


_GET = """
import http.client, sys
line = http.client.HTTPConnection("127.0.0.1", int(sys.argv[2]), timeout=5)
line.request("GET", "/", headers={"Host": sys.argv[1]})
answer = line.getresponse()
print(answer.status, answer.read().decode(errors="replace"))
"""


def test_the_plan_is_what_is_done_and_done_once(shared: Server, app: App) -> None:
    before = shared.files(ignoring=OTHERS)
    would = says(app, "--dry-run")
    assert differing(before, shared.files(ignoring=OTHERS)) == []
    assert says(app) == would
    after = shared.files(ignoring=OTHERS)
    again = app.teal("setup").ok()
    assert again.out == "shop is set up already; nothing to do\n"
    assert differing(after, shared.files(ignoring=OTHERS)) == []
    assert says(app) == []


def test_nginx_is_reloaded_once_by_setup_and_by_nothing_else(shared: Server, app: App) -> None:
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
    def test_a_site_with_names_of_its_own_is_as_it_was(self, shared: Server, app: App, put: Any) -> None:
        put("/etc/nginx/sites-enabled/static", site("static.example", "80"))
        reload(shared)
        app.teal("setup").ok()
        assert get(shared, "static.example").startswith("200 static.example")
        app.deploy().ok()
        assert get(shared, "whatever.example").startswith("200")
        assert get(shared, "static.example").startswith("200 static.example")

    def test_a_default_site_is_the_admins(self, shared: Server, app: App, put: Any) -> None:
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

    def test_the_welcome_page_gives_way_and_comes_back(self, shared: Server, app: App) -> None:
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

    def test_with_domains_it_stays(self, shared: Server, app: App) -> None:
        app.config(server={"domains": ["shop.example"]})
        app.teal("setup").ok()
        assert "Welcome to nginx" in get(shared, "other.example")

    def test_one_that_a_hand_has_changed_is_the_admins(self, shared: Server, app: App) -> None:
        page = shared.root / "etc/nginx/sites-available/default"
        text = page.read_text()
        page.write_text(text + "#")
        try:
            assert "/etc/nginx/sites-enabled/default:" in refusal(app)["message"]
        finally:
            page.write_text(text)

    def test_a_name_that_somebody_serves(self, app: App, shared: Server, put: Any) -> None:
        put("/etc/nginx/sites-enabled/static", "\n\n" + site("static.example", "80"))
        app.config(server={"domains": ["shop.example", "static.example"]})
        message = refusal(app)["message"]
        assert message == "static.example is served on port 80 by /etc/nginx/sites-enabled/static:3 already"

    def test_nginx_orgs_own_page_that_answers_to_localhost(self, app: App, shared: Server, put: Any) -> None:
        put("/etc/nginx/conf.d/default.conf", site("localhost", "80"))
        assert "/etc/nginx/conf.d/default.conf:1" in refusal(app)["message"]

    def test_two_apps_want_the_same(self, world: World, app: App) -> None:
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
