"""Commands at the same time, and commands whose client goes away: one command changes an app at a time, and each
finishes.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.background import BUILDS_ON, RunningCommand, in_background
from harness.world import App, wait_until


@contextmanager
def deploying_v2(app: App, *arguments: str) -> Iterator[tuple[RunningCommand, Callable[[], None]]]:
    """A deploy in its health check, after commit, until the second value is called."""
    gate = app.world.home / "gate"
    app.program(version="v2", waits_for=str(gate))
    app.config(health={"deadline_s": 600})
    with in_background(app, "deploy", "--json", *arguments) as running:
        running.wait_for(type="step", name="health", state="started")
        yield running, gate.touch


@pytest.mark.row("G1")
def test_lock_refuses_a_second_command_and_names_the_command_that_holds_it_and_since_when(app: App) -> None:
    app.deploy().ok()
    with deploying_v2(app) as (first, let_it_listen):
        for second in (("deploy",), ("rollback",)):  # the rollback has no release to go back to, so it overtakes nobody
            refused = app.teal(*second, "--json")
            assert (refused.code, refused.result["outcome"]) == (8, "refused")
            error = refused.result["error"]
            assert f"deploy (process {first.server_side()})" in error["message"]
            assert re.search(r"is at work here since \d\d:\d\d:\d\d [A-Z0-9+-]+: ", error["message"])
            assert "--wait" in error["hint"]
        let_it_listen()
        first.ended().ok()
    assert app.get()["version"] == "v2"


def test_destroy_is_refused_while_a_deploy_holds_the_lock(app: App) -> None:
    app.deploy().ok()
    with deploying_v2(app) as (first, let_it_listen):
        assert app.teal("destroy", "-y").code == 8
        let_it_listen()
        first.ended().ok()
    assert app.get()["version"] == "v2"


@pytest.mark.row("G1")
def test_deploy_with_wait_runs_when_the_first_deploy_has_ended(app: App) -> None:
    app.deploy().ok()
    with deploying_v2(app) as (first, let_it_listen):
        app.program(version="v3")
        with in_background(app, "deploy", "--json", "--wait", "60") as second:
            second.wait_for(type="step", name="connect", state="done")
            let_it_listen()
            before = first.ended().ok().result
            after = second.ended().ok().result
    assert after["previous"] == before["release"]
    assert app.get()["version"] == "v3"


def test_wait_for_the_lock_ends_when_its_time_is_over(app: App) -> None:
    app.deploy().ok()
    with deploying_v2(app) as (first, let_it_listen):
        assert app.deploy("--wait", "0.5").code == 8
        let_it_listen()
        first.ended().ok()


@pytest.mark.row("G7")
def test_queries_are_answered_while_a_deploy_holds_the_lock(app: App) -> None:
    app.deploy().ok()
    with deploying_v2(app) as (first, let_it_listen):
        status = app.status()
        assert (status["live"], status["colors"]["green"]["state"]) == ("blue", "running")
        assert any("is at work here since" in note for note in status["notes"])
        lines = app.teal("logs", "--json").ok().result["lines"]
        assert {line["color"] for line in lines} == {"blue", "green"}
        assert len(app.releases()) == 2
        assert first.process.poll() is None
        let_it_listen()
        first.ended().ok()


@pytest.mark.row("G2")
def test_lock_is_free_at_once_when_the_server_side_that_holds_it_is_killed(app: App) -> None:
    app.deploy().ok()
    with deploying_v2(app) as (first, _):
        os.kill(first.server_side(), signal.SIGKILL)
        lost = first.ended()
    assert (lost.code, lost.result["outcome"]) == (9, "unknown")
    assert app.get()["version"] == "v1"
    app.program(version="v3")
    app.deploy().ok()
    assert app.get()["version"] == "v3"
    outcomes = [row["outcome"] for row in app.releases()]
    assert outcomes == ["live", "refused", "live"]


def test_client_killed_during_the_build_changes_nothing(app: App) -> None:
    app.deploy().ok()
    before = _state(app)
    app.config(build={"command": ["sh", "-c", BUILDS_ON]})
    with in_background(app, "deploy", "--json") as running:
        running.wait_for(type="output", line="building")
        running.send(signal.SIGKILL)
        running.process.wait()
    _nothing_changed(app, before)


def test_client_interrupted_during_the_build_ends_the_build_and_changes_nothing(app: App) -> None:
    app.deploy().ok()
    before = _state(app)
    app.config(build={"command": ["sh", "-c", BUILDS_ON]})
    with in_background(app, "deploy", "--json") as running:
        running.wait_for(type="output", line="building")
        running.send(signal.SIGINT)
        ended = running.ended()
    assert (ended.code, ended.result["outcome"]) == (130, "refused")
    assert ended.result["seconds"]["build"] < 9  # so Teal did not wait for the end of the build
    _nothing_changed(app, before)


@pytest.mark.row("B1")
def test_client_killed_during_the_upload_changes_nothing(app: App) -> None:
    app.deploy().ok()
    before = _state(app)
    _large(app)
    with in_background(app, "deploy", "--json") as running:
        running.wait_for(type="progress", step="upload")
        running.send(signal.SIGKILL)
        running.process.wait()
    _nothing_changed(app, before)


def test_client_interrupted_before_commit_says_that_nothing_was_changed(app: App) -> None:
    app.deploy().ok()
    before = _state(app)
    _large(app)
    with in_background(app, "deploy", "--json") as running:
        running.wait_for(type="progress", step="upload")
        running.send(signal.SIGINT)
        ended = running.ended()
    assert (ended.code, ended.result["outcome"]) == (130, "refused")
    assert "nothing was changed" in ended.result["error"]["message"]
    _nothing_changed(app, before)


@pytest.mark.row("G3", "G10")
def test_server_side_finishes_alone_when_the_client_is_killed_after_commit(app: App) -> None:
    app.deploy().ok()
    with deploying_v2(app) as (running, let_it_listen):
        running.send(signal.SIGKILL)
        running.process.wait()
        refused = app.deploy()
        assert (refused.code, "is at work here since" in refused.result["error"]["message"]) == (8, True)
        let_it_listen()
        wait_until(lambda: bool(app.get()["version"] == "v2"))
    _ended_alone(app)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.row("G10")
def test_server_side_finishes_alone_when_the_client_is_interrupted_after_commit(
    app: App, number: signal.Signals
) -> None:
    app.deploy().ok()
    with deploying_v2(app) as (running, let_it_listen):
        server_side = running.server_side()
        running.send(number)
        ended = running.ended()
        assert Path(f"/proc/{server_side}").exists()
        let_it_listen()
        wait_until(lambda: bool(app.get()["version"] == "v2"))
    if number == signal.SIGINT:
        assert (ended.code, ended.result["outcome"]) == (130, "unknown")
        assert "the server goes on with the deploy and finishes it by itself" in ended.result["error"]["message"]
    _ended_alone(app)


def _ended_alone(app: App) -> None:
    """Checks that the server side finished, and left nothing to recover."""
    wait_until(lambda: app.status()["notes"] == [])
    status = app.status()
    assert (status["live"], status["colors"]["green"]["state"]) == ("green", "running")
    rows = app.releases()
    assert [row["outcome"] for row in rows] == ["live", "live"]


def _large(app: App) -> None:
    """Makes an artifact whose upload takes a while."""
    app.world.line_is_slow()  # so the client compresses it well
    app.program(version="v2")
    (app.directory / "dist").mkdir()
    (app.directory / "program").rename(app.directory / "dist/program")
    (app.directory / "dist/large").write_bytes(os.urandom(48_000_000))
    app.config(build={"artifact": "dist"})


def _state(app: App) -> dict[str, bytes | str | None]:
    """The stored state of the app, without the note in the lock and without interrupted uploads."""
    contents: dict[str, bytes | str | None] = {}
    for path in sorted(app.state.rglob("*")):
        if path.name != "lock" and ".upload-" not in str(path):
            content = path.read_bytes() if path.is_file() else None
            contents[str(path.relative_to(app.state))] = str(path.readlink()) if path.is_symlink() else content
    return contents


def _nothing_changed(app: App, before: dict[str, bytes | str | None]) -> None:
    wait_until(lambda: _state(app) == before)
    assert app.get()["version"] == "v1"
    app.config()
    app.program(version="v3")
    app.deploy().ok()
    assert app.get()["version"] == "v3"
