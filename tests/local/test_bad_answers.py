"""A live program that fails its visitors but passes its health check: nginx's log shows the failures."""

import json
import os
import signal
import stat
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.background import RunningCommand, in_background, load, repeated, wait_for_requests
from harness.world import App, wait_until


@pytest.mark.row("C15")
def test_watch_rolls_back_when_visitors_get_errors_though_the_health_check_passes(app: App) -> None:
    first = _first(app)
    with load(app) as visitors, _in_the_watch(app) as deploying:
        wait_for_requests(visitors)
        _break(app)
        ended = deploying.ended()
        failed = visitors.tally().failed
        wait_for_requests(visitors, 100)
        assert visitors.tally().failed - failed <= 4, "who was answered while the link turned"
    result = ended.result
    assert (ended.code, result["outcome"], result["color"]) == (7, "rolled_back", "green"), ended
    assert "fails its visitors" in result["error"]["message"]
    assert f"rolled back: {first} on blue serves again" in result["error"]["message"]
    since, before, *_ = result["error"]["evidence"]
    assert since.startswith("green, since the switch: ")
    assert " with 500)" in since
    assert before.startswith("blue, before it: 0 of ")
    assert (app.status()["live"], app.get()["version"]) == ("blue", "v1")
    assert not _marks(app)
    _nothing_is_logged_any_more(app)


@pytest.mark.row("B4")
def test_watch_rolls_back_a_failing_release_when_the_client_is_gone(app: App) -> None:
    _first(app)
    with load(app) as visitors, _in_the_watch(app) as deploying:
        deploying.process.kill()
        wait_for_requests(visitors)
        _break(app)
        wait_until(lambda: bool(app.status()["live"] == "blue"))
        wait_until(lambda: app.teal("releases", "--json").result["releases"][0]["outcome"] == "rolled_back")
    wait_until(lambda: not _marks(app))
    assert app.get()["version"] == "v1"


def test_failing_release_stays_live_when_it_fails_no_more_than_the_previous_release(app: App) -> None:
    app.config()
    app.program(version="v1")
    app.deploy().ok()
    _break(app)
    app.config(verify={"path": "/healthz", "json": {"message": "ok"}}, keep={"watch_s": 2})
    app.program(version="v2", root_500=True, starts_after=1)
    with _failing(app):
        ended = app.deploy().ok()
    (watch,) = [line for line in ended.lines if line.get("name") == "watch" and line["state"] == "done"]
    assert " with 500)" in watch["detail"]
    assert app.status()["live"] == "green"


def test_watch_log_holds_no_secret_and_is_written_only_during_the_watch(app: App) -> None:
    _first(app)
    app.get("/?password=before")
    with _in_the_watch(app) as deploying:
        app.get("/?password=hunter2")
        wait_until(lambda: _log(app).read_bytes() != b"")
        lines = _log(app).read_text().splitlines()
        os.kill(deploying.server_side(), signal.SIGKILL)
        assert stat.S_IMODE(_log(app).stat().st_mode) == 0o600
    token = json.loads((app.world.root / f"etc/teal/{app.name}/app.json").read_text())["token"]
    answered = [(f"127.0.0.1:{port}", port) for port in app.ports[1:]] + [("", port) for port in app.ports[1:]]
    assert set(lines) <= {f"{by}|127.0.0.1 127.0.0.1:{port} 200" for by, port in answered}
    assert token not in "".join(lines)
    app.teal("destroy", "-y").ok()
    assert not _log(app).exists()


def test_watch_log_stops_when_the_server_side_is_killed_and_the_next_command_removes_the_mark(app: App) -> None:
    _first(app)
    with _in_the_watch(app) as deploying:
        os.kill(deploying.server_side(), signal.SIGKILL)
        assert deploying.ended().code == 9
    now = int(time.time()) // 10
    assert {int(mark.name.partition("-")[2]) for mark in _marks(app)} <= {now - 1, now, now + 1}
    for mark in _marks(app):  # as nginx sees the marks twenty seconds later
        mark.rename(mark.with_name("watched-100"))
    _nothing_is_logged_any_more(app)
    app.config()
    app.deploy()
    assert not _marks(app)
    assert _log(app).read_bytes() == b""


def _first(app: App) -> str:
    """Deploys a good release without a watch, and prepares a watched one.

    The second one starts slowly, so that nginx counts visitors of the first.
    """
    app.config()
    app.program(version="v1")
    first = str(app.deploy().ok().result["release"])
    app.config(keep={"watch_s": 600})
    app.program(version="v2", starts_after=1.5)
    return first


@contextmanager
def _in_the_watch(app: App) -> Iterator[RunningCommand]:
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="watch", state="started")
        yield deploying


def _break(app: App) -> None:
    with suppress(urllib.error.HTTPError):
        app.get("/break")


@contextmanager
def _failing(app: App) -> Iterator[None]:
    """Sends visitors to an app that fails them all."""

    def visit() -> None:
        with suppress(urllib.error.HTTPError):
            app.get()

    with repeated(visit, pause_s=0.01):
        yield


def _nothing_is_logged_any_more(app: App) -> None:
    """Waits until the log stays the same. nginx writes its buffer at the latest with a request after half a second."""
    sizes: list[Any] = []

    def settled() -> bool:
        app.get()
        sizes.append(_log(app).stat().st_size)
        return len(sizes) > 100 and len(set(sizes[-50:])) == 1

    wait_until(settled)


def _marks(app: App) -> list[Path]:
    return list(app.state.glob("watched*"))


def _log(app: App) -> Path:
    return app.world.root / f"etc/nginx/teal-{app.name}.watched"
