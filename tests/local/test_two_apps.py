"""Two apps on one machine: they share nginx, and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness.background import exclusive, in_background, load, stranger, wait_for_requests
from harness.world import App, World


@pytest.fixture
def two(world: World) -> Iterator[list[App]]:
    """Two apps with names on one port of nginx. Teal finds the ports of their colors."""
    with exclusive("free ports"):
        apps = [world.app("a"), world.app("b")]
        for app in apps:
            app.ports = (apps[0].ports[0], *app.ports[1:])
            _named(app)
        yield apps
        world.end()


@pytest.mark.row("G5")
def test_new_apps_get_separate_ports_when_both_are_deployed_at_the_same_moment(two: list[App]) -> None:
    with in_background(two[0], "deploy", "--json") as first, in_background(two[1], "deploy", "--json") as second:
        results = [running.ended().ok().result for running in (first, second)]
    assert [result["url"] for result in results] == [f"http://{_host(app)}:{two[0].ports[0]}/" for app in two]
    ports = [status["colors"][color]["port"] for status in map(App.status, two) for color in ("blue", "green")]
    assert len(set(ports)) == 4
    for app, result in zip(two, results, strict=True):
        assert app.get(host=_host(app))["release"] == result["release"]


def test_ports_stay_the_same_in_the_next_deploy(two: list[App]) -> None:
    app = two[0]
    app.deploy().ok()
    before = _ports(app)
    app.program(version="v2")
    app.deploy().ok()
    assert _ports(app) == before


def test_destroy_of_an_app_leaves_the_other_app_serving(two: list[App]) -> None:
    for app in two:
        app.deploy().ok()
    gone, stays = two
    with load(stays, _host(stays)) as visitors:
        gone.teal("destroy", "-y").ok()
        wait_for_requests(visitors)
    if _waits_for_its_clients(gone.world):
        assert visitors.tally().failed == 0, visitors.tally()
    assert stays.status()["live"] == "blue"
    assert stays.get(host=_host(stays))["version"] == "v1"
    with pytest.raises(OSError, match=r"closed connection|reset"):
        stays.get(host=_host(gone))


def test_deploy_of_an_app_starts_and_reloads_nothing_of_the_other_app(two: list[App]) -> None:
    for app in two:
        app.deploy().ok()
    deployed, stays = two
    before = stays.status()
    files = sorted((path, path.stat().st_mtime_ns) for path in (stays.world.root / "etc/nginx").rglob("*.conf"))
    with load(stays, _host(stays)) as visitors:
        deployed.program(version="v2")
        deployed.deploy().ok()
        deployed.teal("rollback").ok()
        wait_for_requests(visitors)
    assert visitors.tally().failed == 0, visitors.tally()
    assert stays.status() == before
    after = sorted((path, path.stat().st_mtime_ns) for path in (stays.world.root / "etc/nginx").rglob("*.conf"))
    assert after == files


def test_second_default_site_on_a_port_is_refused_with_the_name_of_the_first_app(world: World) -> None:
    first, second = world.app("first"), world.app("second")
    first.deploy().ok()
    second.config(server={"http_port": first.ports[0]})
    refused = second.deploy()
    assert (refused.code, refused.result["outcome"]) == (3, "refused")
    message = refused.result["error"]["message"]
    assert f"the default site of port {first.ports[0]} is the app first already" in message
    assert (first.get()["version"], second.status()["live"]) == ("v1", None)


def test_domain_of_another_app_is_refused_with_the_name_of_that_app(world: World) -> None:
    first, second = world.app("first"), world.app("second")
    first.config(server={"domains": ["a.localhost", "b.localhost"]})
    first.deploy().ok()
    second.config(server={"http_port": first.ports[0], "domains": ["b.localhost"]})
    refused = second.deploy()
    assert refused.code == 3
    assert 'the domain "b.localhost" is served for the app first already' in refused.result["error"]["message"]


def test_color_port_of_another_app_is_refused_with_the_name_of_that_app(world: World) -> None:
    first, second = world.app("first"), world.app("second")
    first.deploy().ok()
    second.config(run={"ports": {"blue": first.ports[2], "green": second.ports[2]}})
    refused = second.deploy()
    assert refused.code == 3
    assert f"port {first.ports[2]} of blue belongs to the app first already" in refused.result["error"]["message"]


def test_nginx_port_of_a_stranger_is_refused_with_the_name_of_the_stranger(app: App) -> None:
    with stranger(app.ports[0]):
        refused = app.deploy()
    assert (refused.code, refused.result["outcome"]) == (3, "refused")
    assert f"port {app.ports[0]} is taken by python" in refused.result["error"]["message"]
    app.deploy().ok()


def _named(app: App, **config: Any) -> None:
    app.config(server={"http_port": app.ports[0], "domains": [_host(app)]}, run={"ports": None}, **config)


def _host(app: App) -> str:
    return f"{app.name}.localhost"


def _ports(app: App) -> list[int]:
    return [app.status()["colors"][color]["port"] for color in ("blue", "green")]


def _waits_for_its_clients(world: World) -> bool:
    """Whether nginx spares idle clients at a reload, which removes a route. Only a recent nginx does."""
    return "keepalive_min_timeout" in (world.root / "etc/nginx/nginx.conf").read_text()


def test_ports_of_a_refused_deploy_are_not_remembered(app: App) -> None:
    app.deploy().ok()
    before = app.status()
    blue, green = app.world.app("elsewhere").ports[1:]
    with stranger(green):
        app.config(run={"ports": {"blue": blue, "green": green}})
        assert app.deploy().code == 6
    after = app.status()
    assert after["colors"]["green"]["port"] == before["colors"]["green"]["port"]
    assert after["notes"] == []
    app.config(run={"ports": None})
    app.program(version="v2")
    assert app.deploy().ok().result["color"] == "green"


def test_taken_domain_is_refused_before_the_upload_and_leaves_no_release(app: App, world: World) -> None:
    app.config(server={"domains": ["one.localhost"]})
    app.deploy().ok()
    other = world.app("other")
    other.config(server={"domains": ["one.localhost"], "http_port": app.ports[0]})
    refused = other.deploy()
    assert refused.code == 3
    assert "is served for the app shop already" in refused.err
    assert other.releases() == []
