"""While the live color gives no answer, the standby answers GET and HEAD, and no other request."""

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from harness.background import in_background
from harness.world import App, straight, wait_until
from teal_host.ground import sockets

DRAIN_S = 6


def kill_live(app: App) -> None:
    color = (app.state / "live").readlink().name
    kill(app, color)


def kill(app: App, color: str) -> None:
    os.kill(json.loads((app.state / color / "process.json").read_text())["pid"], signal.SIGKILL)
    wait_until(lambda: not sockets.listeners(app.ports[1 if color == "blue" else 2]))


def asked(app: App, method: str, path: str = "/", body: Any = None, **headers: str) -> tuple[int, str]:
    """The status, and the color that answered."""
    data = b"x" if method == "POST" else body
    request = urllib.request.Request(f"http://127.0.0.1:{app.ports[0]}{path}", data, headers, method=method)
    try:
        with straight_request(request) as answer:
            return answer.status, answer.headers["X-Color"]
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, error.headers.get("X-Color", "")


def straight_request(request: urllib.request.Request) -> Any:
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)


def url(app: App) -> str:
    return f"http://127.0.0.1:{app.ports[0]}/"


@pytest.mark.row("E19")
def test_standby_answers_get_and_head_alone_while_the_live_release_is_down(app: App) -> None:
    app.deploy_versions("v1", "v2")
    assert app.status()["fallback"] == {"color": "blue", "answered": 0, "since": None, "last": None}
    kill_live(app)
    assert [asked(app, method) for method in ("GET", "HEAD", "GET")] == [(200, "blue")] * 3
    assert [asked(app, method)[0] for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")] == [502] * 5
    status = app.status()
    assert (status["live"], status["fallback"]["color"], status["fallback"]["answered"]) == ("green", "blue", 3)
    assert status["fallback"]["since"] <= status["fallback"]["last"]
    shown = app.teal("status").ok().out
    assert "3 requests were answered by the standby, because green gave no answer" in shown
    assert "blue answers GET and HEAD meanwhile" in shown
    app.program(version="v3")
    app.deploy().ok()
    assert app.status()["fallback"]["answered"] == 0


@pytest.mark.row("E19")
def test_release_that_a_rollback_left_stands_in_for_the_one_that_it_went_back_to(app: App) -> None:
    app.deploy_versions("v1", "v2")
    app.teal("rollback").ok()
    kill_live(app)
    assert asked(app, "GET") == (200, "green")
    assert app.status()["fallback"]["color"] == "green"
    kill(app, "green")
    assert app.status()["fallback"]["color"] is None


@pytest.mark.row("E19")
def test_candidate_that_is_not_healthy_gets_no_request_while_the_live_release_is_down(app: App) -> None:
    """The candidate answers neither while Teal probes it, nor after Teal refused it."""
    app.deploy_versions("v1", "v2")
    app.config(health={"deadline_s": 600})
    app.program(version="v3", health_sequence=[500])
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="health", state="started")
        wait_until(lambda: bool(sockets.listeners(app.ports[1])))
        kill_live(app)
        assert app.status()["fallback"]["color"] is None
        assert asked(app, "GET")[0] == 502
        kill(app, "blue")
        assert deploying.ended().code == 6
    assert asked(app, "GET")[0] == 502


@pytest.mark.parametrize(
    "config",
    [
        {"keep": {"fallback": False}},
        {"keep": {"previous_running": False}},
        {"proxy": {"directives": ["error_page 500 502 503 /down.html;"]}},
    ],
    ids=["switched off", "no standby", "a page of the user's own"],
)
def test_no_color_stands_in_when_the_configuration_has_no_place_for_it(app: App, config: dict[str, Any]) -> None:
    app.deploy_versions("v1", "v2", **config)
    kill_live(app)
    assert asked(app, "GET")[0] == 502
    assert app.status()["fallback"]["color"] is None
    assert "answers GET and HEAD meanwhile" not in app.teal("status").ok().out


@pytest.mark.row("E19")
def test_standby_answers_nothing_of_which_the_live_release_has_sent_a_byte_or_that_it_delays(app: App) -> None:
    """nginx refuses a header that is too big, not valid or not whole; the live release has answered all the same."""
    begun = {"/big": f"X-Big: {'x' * 40_000}\r\n\r\n", "/invalid": "X\0: x\r\n\r\n", "/part": "Content-Le"}
    raw = {"/nothing": ""} | {path: f"HTTP/1.1 200 OK\r\n{rest}" for path, rest in begun.items()}
    app.config(proxy={"read_timeout_s": 1})
    for version, slow_until in (("v1", app.directory), ("v2", app.directory / "never")):
        app.program(version=version, slow_until=str(slow_until), raw=raw if version == "v2" else {})
        app.deploy().ok()
    assert {path: asked(app, "GET", path) for path in begun} == dict.fromkeys(begun, (502, ""))
    assert asked(app, "GET", "/slow") == (504, "")
    assert app.status()["fallback"]["answered"] == 0
    assert asked(app, "GET", "/nothing") == (200, "blue")
    assert app.status()["fallback"]["answered"] == 1


@pytest.mark.row("E19")
def test_standby_gets_no_body_of_which_a_part_may_be_gone_and_no_websocket(app: App) -> None:
    directives = ["proxy_request_buffering off;", "recursive_error_pages on;"]
    app.deploy_versions("v1", "v2", proxy={"directives": directives})
    kill_live(app)
    assert asked(app, "GET", body=b"") == (200, "blue")
    for body in (b"x" * 300_000, iter([b"x"])):
        assert asked(app, "GET", body=body) == (502, "")
    assert asked(app, "GET", Upgrade="websocket") == (502, "")
    assert asked(app, "POST") == (502, "")


def test_answer_502_of_the_program_itself_is_delivered(app: App) -> None:
    app.config(proxy={"directives": ["proxy_intercept_errors on;"]})
    for version in ("v1", "v2"):
        app.program(version=version, bad_gateway=["/own"])
        app.deploy().ok()
    assert asked(app, "GET", "/own")[0] == 502
    assert app.status()["fallback"]["answered"] == 0


def test_location_of_the_user_is_answered_by_the_standby_only_if_it_leads_to_the_app(app: App) -> None:
    nobody = "location /nobody { proxy_pass http://127.0.0.1:1; }"
    app.deploy_versions("v1", "v2", proxy={"directives": ["location /big { proxy_pass http://$teal_app; }", nobody]})
    assert asked(app, "GET", "/nobody")[0] == 502
    kill_live(app)
    assert (asked(app, "GET", "/big"), asked(app, "GET", "/nobody")[0]) == ((200, "blue"), 502)


def test_probe_of_teal_is_never_answered_by_the_standby(app: App) -> None:
    app.deploy_versions("v1", "v2")
    kill_live(app)
    token = json.loads((app.world.root / "etc/teal/shop/app.json").read_text())["token"]
    with pytest.raises(urllib.error.HTTPError, match="502"):
        straight(url(app), headers={"X-Teal-Probe": token})
    findings = {finding["what"]: finding for finding in app.teal("doctor", "--json").result["findings"]}
    assert findings["live"]["state"] == "fault"
    assert findings["route"]["says"] == "nginx asks green, which is live and does not answer: 502"


def test_deploy_waits_for_what_the_standby_answers_in_the_place_of_what_is_live(app: App) -> None:
    enough = app.directory / "enough"
    app.config(keep={"drain_s": DRAIN_S})
    for version in ("v1", "v2"):
        app.program(version=version, slow_until=str(enough))
        app.deploy().ok()
    switched = time.monotonic()
    kill_live(app)
    answers: list[tuple[int, str]] = []
    visitor = threading.Thread(target=lambda: answers.append(asked(app, "GET", "/slow")))
    visitor.start()
    wait_until(lambda: sockets.connections(app.ports[1]) > 0)
    # so that the deploy waits for no work from before the switch
    wait_until(lambda: time.monotonic() > switched + DRAIN_S)
    app.program(version="v3")
    with in_background(app, "deploy", "--json") as deploying:
        waits = "waiting for what blue answers in the place of what is live"
        deploying.wait_for(type="step", name="start", detail=waits)
        enough.touch()
        deploying.ended().ok()
    visitor.join()
    assert answers == [(200, "blue")]
