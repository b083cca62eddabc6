"""Rollbacks by a person, and what each release keeps for a rollback."""

import os
import signal
from collections import Counter
from collections.abc import Callable

import pytest

from harness.background import load, stranger, wait_for_requests
from harness.world import App, World, wait_until

WELL_UNTIL_LIVE = {"health_sequence": [200, 200, 500]}  # two probes come before the switch, see App.config


def test_rollback_goes_to_a_named_release_that_no_longer_runs(app: App) -> None:
    first, *_ = app.deploy_versions("v1", "v2", "v3")
    back = app.teal("rollback", first, "--json").ok().result
    assert (back["outcome"], back["release"]) == ("live", first)
    assert app.get()["version"] == "v1"


@pytest.mark.row("E6")
def test_rollback_goes_one_release_further_each_time_until_no_earlier_release_remains(app: App) -> None:
    first, second, _ = app.deploy_versions("v1", "v2", "v3")
    assert app.status()["previous"] == second
    for release, previous in ((second, first), (first, None)):
        back = app.teal("rollback", "--json").ok().result
        assert (back["release"], back["previous"], app.status()["previous"]) == (release, previous, previous)
    nowhere = app.teal("rollback", "--json")
    assert (nowhere.code, nowhere.result["outcome"]) == (2, "refused")
    assert "no earlier release stayed well" in nowhere.result["error"]["message"]
    assert app.get()["version"] == "v1"


@pytest.mark.parametrize("release", [(), ("0009-0123456789ab",), ("yesterday",)], ids=str)
def test_rollback_is_refused_when_no_such_release_exists(app: App, release: tuple[str, ...]) -> None:
    app.deploy().ok()
    nowhere = app.teal("rollback", *release, "--json")
    assert (nowhere.code, nowhere.result["outcome"]) == (2, "refused")
    assert app.get()["version"] == "v1"


@pytest.mark.row("E6")
def test_rollback_skips_releases_that_were_refused_or_rolled_back(app: App) -> None:
    first, *_ = app.deploy_versions("v1")
    app.program(version="refused", exits=1)
    assert app.deploy().code == 6
    app.config(keep={"watch_s": 600})
    app.program(version="turned back", **WELL_UNTIL_LIVE)
    assert app.deploy().code == 7
    app.deploy_versions("v2")
    for release in [row["release"] for row in app.releases()]:  # as if Teal could not remove their files
        (app.state / "releases" / release).mkdir(exist_ok=True)
    assert app.teal("rollback", "--json").ok().result["release"] == first
    assert app.get()["version"] == "v1"


def test_previous_color_stops_without_previous_running_and_a_rollback_starts_it_again(app: App) -> None:
    app.deploy_versions("v1", keep={"previous_running": False, "drain_s": 1})
    app.program(version="v2")
    with load(app) as visitors:
        app.deploy().ok()
        colors = app.status()["colors"]
        assert (colors["blue"]["state"], colors["green"]["state"]) == ("stopped", "running")
        app.teal("rollback", "--json").ok()
        colors = app.status()["colors"]
        assert (colors["blue"]["state"], colors["green"]["state"]) == ("running", "stopped")
        wait_for_requests(visitors)
    assert visitors.tally().failed == 0, visitors.tally()
    assert app.get()["version"] == "v1"


@pytest.mark.row("E12")
def test_background_job_runs_on_the_live_color_alone_without_previous_running(
    app: App, counted: Callable[..., None]
) -> None:
    quick = {"keep": {"previous_running": False, "drain_s": 0.5}, "run": {"data": True}}
    app.config(**quick)
    app.program(version="v1", works=True)
    app.deploy().ok()
    app.program(version="v2", works=True)
    app.deploy().ok()
    before = len(_worked(app))
    wait_until(lambda: len(_worked(app)) >= before + 20)
    since = Counter(_worked(app)[before:])
    assert set(since) == {"green"}
    counted(written_by_the_live_color=since["green"], written_by_the_other=since["blue"])


def _worked(app: App) -> list[str]:
    return (app.world.root / "var/lib/shop/worked").read_text().split()


@pytest.mark.row("F6")
def test_prune_keeps_the_configured_number_of_good_releases_and_does_not_count_bad_releases(app: App) -> None:
    app.config(keep={"releases": 3})
    app.deploy_versions("v1", "v2", "v3")
    for number in range(2):
        app.program(version=f"bad {number}", exits=1)
        assert app.deploy().code == 6
    app.deploy_versions("v4", keep={"releases": 3})
    rows = [(row["outcome"], row["stored"]) for row in reversed(app.releases())]
    assert rows == [("live", False), ("live", True), ("live", True), *[("unhealthy", False)] * 2, ("live", True)]
    stored = {path.name for path in (app.state / "releases").iterdir()}
    assert stored == {row["release"] for row in app.releases() if row["stored"]}


def test_data_is_shared_by_every_release_and_survives_deploys_and_a_rollback(app: App) -> None:
    app.config(run={"data": True})
    for version in ("v1", "v2", "v3"):
        app.program(version=version)
        app.deploy().ok()
        app.get("/write")
    assert app.get("/kept")["kept"] == ["v1", "v2", "v3"]
    app.teal("rollback").ok()
    assert app.get("/write")["kept"] == ["v1", "v2", "v3", "v2"]


def test_rollback_never_leads_to_a_superseded_release(app: App) -> None:
    app.deploy().ok()
    app.program(version="v2")
    second = app.deploy().ok().result
    app.program(version="v3, bad")
    app.deploy().ok()
    app.teal("rollback", "--json").ok()
    app.program(version="v4, mended")
    fixed = app.deploy().ok().result
    assert fixed["previous"] == second["release"]
    back = app.teal("rollback", "--json").ok().result
    assert back["release"] == second["release"]
    assert app.get()["version"] == "v2"


def test_rollback_goes_forward_to_a_superseded_release_by_its_number(app: App) -> None:
    app.deploy().ok()
    app.program(version="v2")
    second = app.deploy().ok().result
    app.teal("rollback").ok()
    assert app.status()["colors"]["green"]["state"] == "running"
    forward = app.teal("rollback", "2", "--json").ok().result
    assert forward["release"] == second["release"]
    assert app.get()["version"] == "v2"


def test_rollback_is_refused_and_stops_no_color_when_the_port_of_nginx_is_taken(app: App, world: World) -> None:
    app.deploy().ok()
    app.program(version="v2")
    app.deploy().ok()
    master = int((world.root / "etc/nginx/nginx.pid").read_text())
    os.kill(master, signal.SIGTERM)
    wait_until(lambda: not os.path.exists(f"/proc/{master}"))
    with stranger(app.ports[0]):
        refused = app.teal("rollback", "--json")
    assert refused.code == 3, refused
    assert "is taken by" in refused.err
    assert {color["state"] for color in app.status()["colors"].values()} == {"running"}


@pytest.mark.parametrize("broken", [False, True])
def test_release_that_a_rollback_replaced_is_a_way_forward_after_a_deploy_that_failed(app: App, broken: bool) -> None:
    _, second = app.deploy_versions(
        "v1", "v2", keep={"watch_s": 0, "drain_s": 0, "releases": 2, "previous_running": False}
    )
    app.teal("rollback").ok()
    if broken:
        app.program(version="v3", health_sequence=[500])
        app.config(keep={"releases": 2}, health={"deadline_s": 2})
        assert app.deploy().code == 6
    assert "which is started first" not in app.teal("status").out
    forward = app.teal("rollback", second, "--json").ok().result
    assert forward["release"] == second
    assert app.get()["version"] == "v2"


def test_status_says_that_the_next_rollback_starts_its_release(app: App) -> None:
    first, second, _ = app.deploy_versions("v1", "v2", "v3")
    assert app.teal("status").out.endswith(f"teal rollback goes to {second}\n")
    back = app.teal("rollback").ok()
    assert back.out.splitlines()[-1].strip().startswith("forward again with: teal rollback 0003-")
    assert f"teal rollback goes to {first}, which is started first\n" in app.teal("status").out
    (standby,) = [row for row in app.teal("doctor", "--json").result["findings"] if row["what"] == "standby"]
    assert f"teal rollback goes to {first}, which is started first" in standby["says"]
