"""Recovery of a deploy that was killed in its watch: a healthy release stays, whatever is slow beside it."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harness.background import children, in_background
from harness.world import App


@pytest.mark.row("A16")
def test_recovery_keeps_a_release_that_warms_up_within_its_health_deadline(app: App) -> None:
    warming_up = app.directory / "warming-up"
    release = killed_in_the_watch(app, sick_when=str(warming_up))
    warming_up.touch()
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="recover", detail="/healthz answers 500, expected 200")
        warming_up.unlink()
        ended = deploying.ended().ok()
    assert (ended.result["outcome"], ended.result["release"]) == ("unchanged", release)
    assert app.get()["version"] == "v2"


def test_recovery_rolls_back_a_release_that_is_sick_until_its_health_deadline(app: App) -> None:
    sick = app.directory / "sick"
    killed_in_the_watch(app, deadline_s=5, sick_when=str(sick))
    sick.touch()
    app.config()
    app.program(version="v1")
    assert app.deploy().ok().result["outcome"] == "unchanged"  # the recovery has gone back to v1
    assert app.get()["version"] == "v1"
    rows = app.teal("releases", "--json").ok().result["releases"]
    assert "is not well: rolled back to 0001-" in (app.state / "journal").read_text()
    assert rows[0]["color"] == "green"


@pytest.mark.row("G6")
def test_rollback_does_not_wait_for_a_verdict_on_the_release_that_it_leaves(app: App) -> None:
    """Its deploy was killed, and it may take an hour until it is healthy. A recovery would judge it, and go back."""
    app.deploy().ok()
    sick = app.directory / "sick"
    killed_in_the_watch(app, sick_when=str(sick), deadline_s=3600)
    sick.touch()
    ended = app.teal("rollback", "--json").ok()
    assert (ended.result["outcome"], ended.result["release"][:4]) == ("live", "0001")
    assert app.get()["version"] == "v1"
    assert [row["outcome"] for row in app.releases()] == ["superseded", "live"]
    assert app.status()["notes"] == []


def test_rollback_goes_one_release_back_where_a_killed_deploy_left_a_sick_release(app: App) -> None:
    """Not two, although a recovery would go back by itself first."""
    _, second = app.deploy_versions("v1", "v2")
    sick = app.directory / "sick"
    killed_in_the_watch(app, "v3", sick_when=str(sick))
    sick.touch()
    assert app.teal("rollback", "--json").ok().result["release"] == second
    assert app.get()["version"] == "v2"


def test_rollback_from_a_killed_deploy_leaves_its_release_good_where_the_rollback_fails(app: App) -> None:
    app.deploy_versions("v1", "v2", keep={"previous_running": False})
    release = killed_in_the_watch(app, "v3", keep={"previous_running": False})
    broken = next((app.state / "releases").glob("0001-*/program"))
    broken.chmod(0o755)
    broken.write_text("#!/bin/sh\nexit 1\n")
    assert app.teal("rollback", "0001", "--json").code == 6
    assert app.get()["version"] == "v3"
    assert {row["release"]: row["outcome"] for row in app.releases()}[release] == "live"


@pytest.mark.row("A17")
def test_recovery_keeps_a_release_when_the_workers_of_nginx_hang(app: App) -> None:
    release = killed_in_the_watch(app)
    with stopped(children(nginx(app))):
        ended = app.deploy().ok()
    assert (ended.result["outcome"], ended.result["release"]) == ("unchanged", release)


@pytest.mark.row("A17")
def test_recovery_changes_nothing_while_nginx_hangs_and_keeps_the_release_afterwards(app: App) -> None:
    release = killed_in_the_watch(app)
    pids = {color: row["pid"] for color, row in app.status()["colors"].items()}
    master = nginx(app)
    with stopped({master, *children(master)}):
        refused = app.deploy()
    assert refused.code == 10, refused
    message = refused.result["error"]["message"]
    assert f"it is not known whether {release} serves: nginx does not serve shop; nothing was changed" in message
    assert {color: row["pid"] for color, row in app.status()["colors"].items()} == pids
    ended = app.deploy().ok()
    assert (ended.result["outcome"], ended.result["release"]) == ("unchanged", release)
    assert app.status()["notes"] == []


@pytest.mark.row("A17")
def test_recovery_keeps_the_release_when_nginx_hangs_for_ten_seconds(app: App) -> None:
    release = killed_in_the_watch(app)
    master = nginx(app)
    with in_background(app, "deploy", "--json") as deploying:
        with stopped({master, *children(master)}):
            time.sleep(10)  # the length of the fault, not a wait for something
        ended = deploying.ended().ok()
    assert (ended.result["outcome"], ended.result["release"]) == ("unchanged", release)
    assert {row["release"]: row["outcome"] for row in app.releases()}[release] == "live"


def killed_in_the_watch(
    app: App, version: str = "v2", deadline_s: float = 30, keep: Any = None, **behaviour: object
) -> str:
    """A release stands by; the version is live, and its deploy was killed before anybody knew whether it stays well."""
    app.deploy().ok()
    app.config(health={"deadline_s": deadline_s}, keep={"watch_s": 20, **(keep or {})})
    app.program(version=version, **behaviour)
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="watch", state="started")
        os.kill(deploying.server_side(), signal.SIGKILL)
        assert deploying.ended().code == 9
    release = app.get()["release"]
    assert isinstance(release, str)
    return release


def nginx(app: App) -> int:
    return int((app.world.root / "etc/nginx/nginx.pid").read_text())


@contextmanager
def stopped(pids: set[int]) -> Iterator[None]:
    """These processes do nothing during the block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.row("F19")
def test_journal_of_years_is_trimmed_by_the_next_deploy_and_recovery_still_finds_what_was_interrupted(app: App) -> None:
    app.deploy().ok()
    journal = app.state / "journal"
    written = journal.read_text()
    old = [
        json.dumps({"event": event, "id": str(n), "more": "x" * 200})
        for n in range(10_000)
        for event in ("begin", "end")
    ]
    journal.write_text("\n".join(old) + f"\n{written}")
    app.program(version="v2")
    second = app.deploy().ok().result["release"]
    assert journal.stat().st_size < 600_000
    assert len((app.state / "journal.1").read_text().splitlines()) > 20_000
    assert app.status()["last"]["release"] == second
    with journal.open("a") as file:
        file.write(json.dumps({"event": "begin", "id": "x", "what": "deploy", "release": "0003-aaaaaaaaaaaa"}) + "\n")
    assert any("interrupted" in note for note in app.status()["notes"])
    output = app.teal("rollback").ok().err
    assert "0003-aaaaaaaaaaaa had not gone live and was undone" in output
    assert app.get()["version"] == "v1"
