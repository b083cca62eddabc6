"""Deploy, rollback and destroy on this machine, as a user sees them."""

import sys

from harness.world import App, World, refuses


def test_deploys_go_live_on_blue_then_green_and_a_rollback_returns_to_blue(app: App) -> None:
    first = app.deploy().ok().result
    assert (first["outcome"], first["color"], first["previous"]) == ("live", "blue", None)
    assert app.get()["version"] == "v1"

    app.program(version="v2")
    second = app.deploy().ok().result
    assert (second["outcome"], second["color"], second["previous"]) == ("live", "green", first["release"])
    assert app.get()["version"] == "v2"

    back = app.teal("rollback", "--json").ok().result
    assert (back["release"], back["color"]) == (first["release"], "blue")
    assert app.get()["version"] == "v1"
    assert app.status()["live"] == "blue"


def test_deploy_of_the_live_artifact_is_unchanged(app: App) -> None:
    first = app.deploy().ok().result
    pid = app.get()["pid"]
    again = app.deploy().ok().result
    assert (again["outcome"], again["release"]) == ("unchanged", first["release"])
    assert app.get()["pid"] == pid


def test_destroy_leaves_no_process_file_or_port(app: App, world: World) -> None:
    app.config(run={"data": True})
    app.deploy().ok()
    app.program(version="v2", child=True)
    app.deploy().ok()
    assert world.processes()
    app.teal("destroy", "-y").ok()
    assert world.processes() == []
    assert not world.root.exists()
    assert all(refuses(port) for port in app.ports)


def test_build_output_is_printed_once_when_the_build_fails(app: App) -> None:
    script = "import sys; print('main.go:3: undefined: x'); sys.exit(2)"
    app.config(build={"command": [sys.executable, "-c", script]})
    failed = app.teal("deploy")
    assert (failed.code, failed.err.count("undefined: x")) == (5, 1)
    quiet = app.teal("deploy", "-q")
    assert (quiet.code, quiet.err.count("undefined: x")) == (5, 1)
    assert app.deploy().result["error"]["evidence"] == ["main.go:3: undefined: x"]
