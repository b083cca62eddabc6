"""Deploys and rollbacks lose no request, as seen by clients that hide no failure and can see one."""

import os
import signal

import pytest
from bench.load.simple import Load

from harness.background import children, load, wait_for_requests
from harness.world import App, wait_until

CLIENTS, PER_SECOND = 8, 300
DEPLOY, ROLLBACK = "deploy", "rollback"
STORY = [DEPLOY, ROLLBACK, DEPLOY, DEPLOY, ROLLBACK, DEPLOY, ROLLBACK, DEPLOY, ROLLBACK, DEPLOY]


@pytest.mark.row("D1", "D2")
def test_switches_lose_no_request_over_six_deploys_and_four_rollbacks(app: App) -> None:
    app.config(keep={"drain_s": 1})
    app.deploy().ok()
    live = app.status()["live"]
    with load(app, clients=CLIENTS, per_second=PER_SECOND) as visitors:
        for number, act in enumerate(STORY):
            app.program(version=f"v{number + 2}")
            color = app.teal(act, "--json").ok().result["color"]
            assert color != live
            live = color
            _serves(visitors, color)
    seen = visitors.tally()
    assert seen.failed == 0, seen
    assert set(dict(seen.answered_by)) == {"blue", "green"}


def test_load_notices_when_the_live_program_is_stopped(app: App) -> None:
    """The failure shows that the load can see losses, so the zero above means something."""
    app.deploy().ok()
    with load(app, clients=CLIENTS, per_second=PER_SECOND) as visitors:
        os.kill(app.status()["colors"]["blue"]["pid"], signal.SIGTERM)
        app.program(version="v2")
        app.deploy().ok()
        _serves(visitors, "green")
    assert visitors.tally().failed > 0


def test_load_notices_a_reload_of_nginx(app: App) -> None:
    """The cost of a switch with a reload, on an nginx that closes idle connections at once."""
    app.deploy().ok()
    conf = app.world.root / "etc/nginx/nginx.conf"
    conf.write_text(conf.read_text().replace("keepalive_min_timeout 10s;", ""))
    _reload(app)
    with load(app, clients=CLIENTS, per_second=PER_SECOND) as visitors:
        wait_for_requests(visitors)
        assert visitors.tally().failed == 0
        _reload(app)
        wait_for_requests(visitors)
    assert visitors.tally().failed > 0


def _serves(visitors: Load, color: str) -> None:
    """Waits until this color has answered more requests."""
    before = dict(visitors.tally().answered_by).get(color, 0)
    wait_until(lambda: dict(visitors.tally().answered_by).get(color, 0) >= before + 20)


def _reload(app: App) -> None:
    """Reloads nginx, and waits until the old workers have gone."""
    master = int((app.world.root / "etc/nginx/nginx.pid").read_text())
    old = children(master)
    os.kill(master, signal.SIGHUP)
    wait_until(lambda: bool(children(master)) and not children(master) & old)
