"""`teal setup` on a server that others use: setup changes only its own files, and destroy removes them all.

All modules of this folder share one server for each Debian.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import harness
from harness import Server
from harness.ssh_access import one_login
from harness.world import App, World, at_server
from server.setup.nginx_state import reload
from server.setup.results import OTHERS, differing

# These tests start nginx more often than systemd allows by default, and no file list includes /run.
NO_LIMIT = """\
mkdir -p /run/systemd/system/nginx.service.d
printf '[Unit]\\nStartLimitIntervalSec=0\\n' > /run/systemd/system/nginx.service.d/no-limit.conf
systemctl daemon-reload
"""


@pytest.fixture(scope="package")
def shared(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with nginx and sudo. Each test undoes what it does to the server."""
    with harness.server(debian, tmp_path_factory.mktemp("shared"), packages=["nginx", "sudo"]) as booted:
        booted.run("sh", "-c", NO_LIMIT)
        yield booted


@pytest.fixture(scope="package")
def login(shared: Server) -> Iterator[Path]:
    with one_login(shared) as config:
        yield config


@pytest.fixture
def world(shared: Server, login: Path, tmp_path: Path) -> Iterator[World]:
    """A world that leaves the server as it was."""
    before = shared.files(ignoring=OTHERS)
    made = at_server(tmp_path / "home", shared, login)
    yield made
    for app in made.apps:
        assert app.teal("destroy", "-y", "--wait", "20").code in (0, 2)
    assert differing(before, shared.files(ignoring=OTHERS)) == []


@pytest.fixture
def app(world: World) -> App:
    return world.app("shop")


@pytest.fixture
def put(shared: Server) -> Iterator[Callable[[str, str], Path]]:
    """Puts a file of an admin onto the server for one test."""
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
