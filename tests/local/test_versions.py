"""Teal reads the state of the version before without loss; the version before stops at the state of this version."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.listing import listing
from harness.version_before import unpack_version_before
from harness.world import App, Ended

SECRET = "S3CR3T"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the version before."""
    return unpack_version_before(tmp_path_factory.mktemp("before"))


def old(app: App, before: Path, *arguments: str, **more: Any) -> Ended:
    """A command of the version before. Its client brings its own server side."""
    return app.teal(*arguments, PYTHONPATH=str(before), **more)


def state(app: App) -> dict[str, str]:
    """All that Teal keeps. The lock only says who holds it, and programs write their logs."""
    home = f"/var/lib/teal/{app.name}"
    return listing(app.world.root, (f"{home}/lock", f"{home}/logs", "/var/lib/teal/.lock", "/etc/nginx"))


def rows(app: App) -> list[tuple[int, str, bool]]:
    releases = app.teal("releases", "--json").ok().result
    assert releases["unreadable"] == []
    return [(row["seq"], row["outcome"], row["live"]) for row in releases["releases"]]


def record(app: App, seq: int) -> Path:
    (path,) = (app.state / "records").glob(f"{seq:04d}-*.json")
    return path


def changed(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def deployed(app: App, *versions: str) -> list[str]:
    names = []
    for version in versions:
        app.program(version=version)
        names.append(app.deploy().ok().result["release"])
    return names


@pytest.mark.row("B16")
def test_state_of_the_version_before_is_read_without_loss(app: App, before: Path) -> None:
    old(app, before, "env", "set", "TOKEN", stdin=SECRET).ok()
    for version in ("v1", "v2", "v3"):
        app.program(version=version)
        old(app, before, "deploy").ok()
    app.program(version="sick", exits=1)
    assert old(app, before, "deploy").code == 6
    old(app, before, "rollback").ok()
    last = app.status()["last"]
    assert (last["command"], last["outcome"]) == ("rollback", "live")
    assert rows(app) == [(4, "refused", False), (3, "superseded", False), (2, "live", True), (1, "live", False)]
    assert app.teal("rollback", "--json").ok().result["release"].startswith("0001-")
    assert app.teal("exec", "--", "sh", "-c", "echo $TOKEN").ok().out.strip() == SECRET
    app.program(version="v5")
    assert app.deploy().ok().result["previous"].startswith("0001-")
    assert rows(app)[0] == (5, "live", True)
    assert app.teal("exec", "--", "sh", "-c", "echo $TOKEN").ok().out.strip() == SECRET
    app.teal("destroy", "-y").ok()
    assert not app.state.exists()


@pytest.mark.row("B16")
def test_story_that_the_version_before_left_unfinished_is_recovered(app: App, before: Path) -> None:
    """The state is what the server side leaves when a kill hits it right after the switch."""
    old(app, before, "deploy").ok()
    app.program(version="v2")
    old(app, before, "deploy").ok()
    journal = app.state / "journal"
    *lines, end = journal.read_text().splitlines()
    assert json.loads(end)["act"] == "end"
    journal.write_text("\n".join(lines) + "\n")
    changed(record(app, 2), outcome="pending")
    app.program(version="v3")
    assert "had gone live and stays" in app.deploy().ok().out
    assert rows(app) == [(3, "live", True), (2, "live", False), (1, "live", False)]


@pytest.mark.row("B16")
def test_version_before_stops_at_the_state_of_this_one_and_changes_nothing(app: App, before: Path) -> None:
    app.teal("env", "set", "TOKEN", stdin=SECRET).ok()
    deployed(app, "v1", "v2")
    app.program(version="v3")
    untouched = state(app)
    for arguments in (
        ("deploy",),
        ("rollback",),
        ("rollback", "1"),
        ("env", "set", "TOKEN"),
        ("env", "unset", "TOKEN"),
    ):
        stopped = old(app, before, *arguments, stdin="other")
        assert stopped.code == 10, stopped
        assert "of a newer Teal" in stopped.err
        assert state(app) == untouched, arguments
    assert app.get()["version"] == "v2"


@pytest.mark.row("B16")
def test_version_before_stops_at_the_first_command_that_this_one_has_finished(app: App, before: Path) -> None:
    old(app, before, "deploy").ok()
    app.program(version="v2")
    app.deploy().ok()
    untouched = state(app)
    assert old(app, before, "rollback").code == 10
    assert state(app) == untouched


@pytest.mark.row("B16")
def test_version_before_does_not_touch_a_story_that_this_one_left_unfinished(app: App, before: Path) -> None:
    deployed(app, "v1", "v2")
    journal = app.state / "journal"
    journal.write_text("\n".join(journal.read_text().splitlines()[:-2]) + "\n")
    untouched = state(app)
    assert old(app, before, "rollback").code == 10
    assert state(app) == untouched
    assert app.get()["version"] == "v2"


@pytest.mark.parametrize("file", ["agreement", "journal"])
def test_this_version_stops_at_the_state_of_a_newer_one_and_changes_nothing(app: App, file: str) -> None:
    deployed(app, "v1", "v2")
    if file == "agreement":
        changed(app.world.root / "etc/teal/shop/app.json", format=4)
    else:
        with (app.state / "journal").open("a") as journal:
            journal.write('{"format": 3, "event": "end", "id": "x"}\n')
    app.program(version="v3")
    untouched = state(app)
    commands: list[tuple[str, ...]] = [("deploy",), ("rollback",)]
    commands += [("env", "set", "TOKEN"), ("destroy", "-y")] if file == "agreement" else []
    for arguments in commands:
        stopped = app.teal(*arguments, stdin="value")
        assert stopped.code == 10, stopped
        assert "of a newer Teal" in stopped.err
        assert state(app) == untouched, arguments
    assert app.get()["version"] == "v2"
    if file == "agreement":
        changed(app.world.root / "etc/teal/shop/app.json", format=2)  # so that the fixture can take the world down


def test_record_with_a_key_of_a_newer_teal_counts_like_any_other(app: App) -> None:
    _, second, _ = deployed(app, "v1", "v2", "v3")
    changed(record(app, 2), later={"a": 1})
    assert app.teal("rollback", "--json").ok().result["release"] == second
    assert json.loads(record(app, 2).read_text())["later"] == {"a": 1}


UNREADABLE: dict[str, Any] = {
    "a higher format": lambda path: changed(path, format=3),
    "garbage": lambda path: path.write_bytes(b"\0" * 100),
    "an unknown outcome": lambda path: changed(path, outcome="splendid"),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("how", UNREADABLE)
@pytest.mark.row("A15")
def test_unreadable_record_is_shown_never_pruned_and_never_jumped_over(app: App, how: str) -> None:
    app.config(keep={"releases": 2})
    app.teal("env", "set", "TOKEN", stdin=SECRET).ok()
    _, second, _ = deployed(app, "v1", "v2", "v3")
    version = json.loads(record(app, 2).read_text())["secrets"]
    UNREADABLE[how](record(app, 2))
    app.teal("env", "set", "TOKEN", stdin="later").ok()
    app.program(version="v4")
    warned = app.deploy().ok()
    assert f"the record of {second} cannot be read" in warned.out
    deployed(app, "v5", "v6")
    assert (app.state / "releases" / second).is_dir()
    assert record(app, 2).exists()
    assert version in json.loads((app.world.root / "etc/teal/shop/secrets").read_text())["versions"]
    releases = app.teal("releases", "--json").ok().result
    assert [(row["release"], row["file"]) for row in releases["unreadable"]] == [(second, str(record(app, 2)))]
    assert str(record(app, 2)) in app.teal("releases").ok().out
    assert any(second in note for note in app.status()["notes"])
    assert app.teal("rollback", "--json").ok().result["release"].startswith("0005-")
    stopped = app.teal("rollback", "--json")
    assert (stopped.code, stopped.result["outcome"]) == (10, "unhealthy")
    assert str(record(app, 2)) in stopped.result["error"]["message"]
    assert app.get()["version"] == "v5"
