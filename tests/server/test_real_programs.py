"""Programs of other people and of other compilers, from setup to a reboot, side by side on one server."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import harness
from harness import Server
from harness.pocketbase import NEW, OLD, Notes
from harness.ssh_access import one_login, run
from harness.tiny import tiny_app, write_tiny
from harness.world import REPO, App, World, at_server, wait_until


@pytest.fixture(scope="module")
def shared_server(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with harness.server(debian, tmp_path_factory.mktemp("real"), packages=["nginx", "sudo"]) as server:
        yield server


@pytest.fixture
def world(shared_server: Server, tmp_path: Path) -> Iterator[World]:
    with one_login(shared_server) as login:
        yield at_server(tmp_path / "home", shared_server, login)


def test_pocketbase_keeps_its_data_over_versions_a_rollback_and_a_reboot(shared_server: Server, world: World) -> None:
    """PocketBase is the default site of its server."""
    app = world.app("notes")

    def as_the_app(arguments: Sequence[str]) -> None:
        program = f"/var/lib/teal/notes/{app.status()['live']}/release/pocketbase"
        run(shared_server, "runuser", "-u", "teal-notes", "--", program, *arguments, "--dir", "/var/lib/notes/db")

    notes = Notes(app, as_the_app)
    notes.choose(OLD)
    app.teal("setup").ok()
    notes.deploy(OLD)
    assert notes.served() == OLD
    notes.make()
    notes.note("written by the old one")

    notes.deploy(NEW)
    assert (notes.served(), notes.notes()) == (NEW, ["written by the old one"])
    notes.note("written by the new one")

    app.teal("rollback").ok()
    assert (notes.served(), notes.notes()) == (OLD, ["written by the old one", "written by the new one"])
    notes.note("written after the rollback")
    notes.note("and before the reboot")

    shared_server.reboot()
    wait_until(lambda: answers(app, "/api/health"))
    assert (notes.served(), len(notes.notes())) == (OLD, 4)
    app.teal("destroy", "-y").ok()


def test_static_c_program_deploys_and_rolls_back(shared_server: Server, world: World) -> None:
    app = tiny_app(world, "tiny", ["tiny.test"])
    app.teal("setup").ok()
    first = app.deploy().ok().result
    write_tiny(app, "v2")
    second = app.deploy().ok().result
    assert (second["color"], second["previous"]) == ("green", first["release"])
    assert app.get(host="tiny.test")["release"] == second["release"]
    app.teal("rollback").ok()
    assert app.get(host="tiny.test")["release"] == first["release"]
    assert second["artifact_bytes"] > second["bytes_sent"]
    app.teal("destroy", "-y").ok()


def test_go_example_is_built_for_the_server(shared_server: Server, world: World) -> None:
    """The build command contains {goarch}, which the server's greeting fills in."""
    go = shutil.which("go") or shutil.which("go", path=str(REPO / ".venv/bin"))
    if go is None:
        pytest.skip("no Go toolchain: it comes with teal-deploy[demo]")
    app = world.app("bluegreen-demo")
    shutil.copytree(REPO / "examples/go", app.directory, dirs_exist_ok=True)
    toml = (REPO / "examples/go/teal.toml").read_text()
    assert 'GOARCH = "{goarch}"' in toml
    toml = toml.replace('target = "local"', f'target = "{world.target}"\ndomains = ["go.test"]')
    toml = toml.replace("http_port = 8080", "http_port = 80").replace("watch_s = 10", "watch_s = 0")
    (app.directory / "teal.toml").write_text(toml)
    app.teal("setup").ok()
    live = app.deploy(PATH=f"{Path(go).parent}:{world.env['PATH']}").ok().result
    assert live["outcome"] == "live"
    assert app.get("/status", host="go.test")["color"] == live["color"] == "blue"
    status = app.status()["colors"]["blue"]
    assert (status["state"], status["port"]) == ("running", 8081)
    app.teal("destroy", "-y").ok()


def answers(app: App, path: str) -> bool:
    try:
        return bool(app.get_raw(path))
    except OSError:
        return False
