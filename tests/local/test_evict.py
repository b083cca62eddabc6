"""`teal deploy --evict`, after a break-in: what ran ends before the new release starts, and nothing goes back to it."""

import pytest

from harness.background import RunningCommand
from harness.world import App, free_ports, status_of, wait_until


@pytest.mark.row("S4")
def test_evicted_release_ends_before_the_new_one_starts_and_is_no_way_back(app: App) -> None:
    app.teal("env", "set", "OLD", stdin="known").ok()
    first, second = app.deploy_versions("v1", "v2")
    app.teal("env", "set", "FRESH", stdin="unknown").ok()
    refused = app.deploy("--evict")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert "--yes" in app.teal("deploy", "--json", "--evict").result["error"]["hint"]
    assert "nothing is served" in app.deploy("--evict", "--dry-run").ok().result["plan"][0]
    assert app.get()["version"] == "v2"

    ended = app.deploy("--evict", "-y").ok()  # the same artifact: it is started anew all the same
    assert (ended.result["outcome"], ended.result["previous"]) == ("live", None)
    assert ended.result["old_secrets"] == ["OLD"]
    assert "teal env set OLD" in ended.out
    states = {color["release"]: color["state"] for color in app.status()["colors"].values() if color["release"]}
    assert states == {ended.result["release"]: "running"}
    back = app.teal("rollback")
    assert (back.code, "no earlier release stayed well" in back.err) == (2, True)
    assert {row["release"] for row in app.releases() if row["outcome"] == "superseded"} == {first, second}


@pytest.mark.row("S4")
def test_eviction_leaves_nothing_running_when_the_new_release_is_not_healthy(app: App) -> None:
    app.deploy_versions("v1", "v2")
    app.program(version="sick", needs="SMTP_HOST")
    ended = app.deploy("--evict", "--yes")
    assert (ended.code, ended.result["outcome"]) == (6, "unhealthy")
    assert "nothing is live" in str(ended.result["error"]["evidence"])
    assert {color["state"] for color in app.status()["colors"].values()} <= {"empty", "failed", "stopped"}
    assert status_of(f"http://{app.world.address}:{app.ports[0]}/") == 503
    assert app.teal("rollback").code == 2
    app.program(version="mended")
    app.deploy().ok()
    assert app.get()["version"] == "mended"
    assert app.teal("rollback").code == 2


def test_visitors_get_503_while_the_release_after_an_eviction_is_not_healthy_yet(app: App) -> None:
    """nginx has no color to ask, and does not come upon the one where the new release just starts."""
    app.deploy_versions("v1")
    app.program(version="mended", health_sequence=[503] * 30 + [200])
    deploy = RunningCommand(app, "deploy", "--json", "--evict", "--yes")
    wait_until(lambda: any("503" in str(event.get("detail")) for event in deploy.events))
    assert status_of(f"http://{app.world.address}:{app.ports[0]}/") == 503
    assert deploy.ended().ok().result["outcome"] == "live"
    assert app.get()["version"] == "mended"


def test_visitors_get_503_while_the_deploy_after_a_failed_eviction_is_not_healthy_yet(app: App) -> None:
    """At 005e2a2 it started on blue, which nginx asks while nothing is live."""
    app.deploy_versions("v1")
    app.program(version="sick", needs="SMTP_HOST")
    assert app.deploy("--evict", "--yes").code == 6
    app.program(version="mended", health_sequence=[503] * 30 + [200])
    deploy = RunningCommand(app, "deploy", "--json")
    wait_until(lambda: any("503" in str(event.get("detail")) for event in deploy.events))
    assert status_of(f"http://{app.world.address}:{app.ports[0]}/") == 503
    assert deploy.ended().ok().result["outcome"] == "live"


def test_eviction_moves_no_port_though_teal_toml_does(app: App) -> None:
    """Setup moves the port of a live color after a deploy to the other one: nobody dares that after a break-in."""
    app.deploy_versions("v1", "v2")
    app.config(run={"ports": {"blue": app.ports[1], "green": free_ports(1)[0]}})
    app.deploy("--evict", "--yes").ok()
    assert app.status()["colors"]["green"]["port"] == app.ports[2]
