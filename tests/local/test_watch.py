"""The watch and the verification after the switch: a release that turns sick is rolled back once."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from harness.background import children, in_background, load, stranger, wait_for_requests
from harness.world import App, Ended, refuses, status_of, wait_until

WELL_UNTIL_LIVE = {"health_sequence": [200, 200, 500]}  # two probes come before the switch, see App.config
WELL_FOR_A_WHILE = {"health_sequence": [200] * 5 + [500]}  # the watch probes every half second


@pytest.mark.row("C12")
def test_watch_rolls_back_without_a_lost_request_when_the_release_turns_sick(app: App) -> None:
    first = _first(app, keep={"watch_s": 600})
    app.program(version="v2", **WELL_FOR_A_WHILE)
    with load(app) as visitors:
        ended = app.deploy()
        _rolled_back(app, ended, first)
        wait_for_requests(visitors)
    assert visitors.tally().failed == 0, visitors.tally()
    assert "/healthz answers 500, expected 200" in ended.result["error"]["message"]
    assert "blue serves again" in ended.result["error"]["message"]


@pytest.mark.row("E1", "E2")
def test_watch_rolls_back_a_crashed_release_and_loses_no_request_after_the_rollback(
    app: App, counted: Callable[..., None]
) -> None:
    """The standby answers every GET in the meantime. A POST is sent once, and fails."""
    app.program(version="v1", stays=True)
    first = app.deploy().ok().result["release"]
    app.config(keep={"watch_s": 600})
    app.program(version="v2")
    with load(app, per_second=30) as visitors, in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="watch", state="started")
        assert app.get()["version"] == "v2"
        wait_for_requests(visitors)
        well = visitors.tally()
        assert well.failed == 0, well
        assert status_of(f"http://127.0.0.1:{app.ports[0]}/exit") == 200
        ended = deploying.ended()
        turned = visitors.tally()
        _rolled_back(app, ended, first)
        wait_for_requests(visitors)
    assert "it exited with code 3" in ended.result["error"]["message"]
    seen = visitors.tally()
    assert seen.failed <= turned.requests - well.requests
    lost_after = seen.failed - turned.failed
    lost = seen.failed - sum("POST /echo" in failure for failure in seen.failures)
    counted(requests=seen.requests, lost_while_it_was_down=lost, lost_after_the_turn_back=lost_after)
    assert (lost, lost_after) == (0, 0), seen.failures


@pytest.mark.row("C15")
def test_verify_rolls_back_without_a_lost_request_when_nginx_delivers_a_wrong_answer(app: App) -> None:
    first = _first(app, verify={"json": {"version": "v1"}})
    app.program(version="v2")
    with load(app) as visitors:
        ended = app.deploy()
        _rolled_back(app, ended, first)
        wait_for_requests(visitors)
    assert visitors.tally().failed == 0, visitors.tally()
    assert 'but "version" is "v2", expected "v1"' in ended.result["error"]["message"]


def test_rollback_reports_that_the_previous_release_does_not_run_when_its_program_has_ended(app: App) -> None:
    """The link goes back all the same; a person must repair the rest."""
    first = _first(app, verify={"json": {"version": "v1"}})
    os.kill(app.get()["pid"], signal.SIGKILL)
    app.program(version="v2")
    ended = app.deploy()
    ending = f"{first} on blue does not run; the link points to blue, as before"
    assert (ended.code, ended.result["error"]["message"].endswith(ending)) == (10, True), ended
    assert app.status()["live"] == "blue"
    app.config()
    assert app.deploy().ok().result["color"] == "green"


def test_deploy_goes_live_after_a_release_was_rolled_back(app: App) -> None:
    _first(app, keep={"watch_s": 600})
    app.program(version="v2", **WELL_UNTIL_LIVE)
    rolled_back = app.deploy()
    assert rolled_back.code == 7
    (standby,) = [row for row in app.teal("doctor", "--json").result["findings"] if row["what"] == "standby"]
    bad = rolled_back.result["release"]
    assert (standby["state"], f"teal rollback {bad}" in standby["says"]) == ("warning", False)
    assert (
        f"green does not run: {bad} was rolled back by Teal; teal rollback has no release to go to" in standby["says"]
    )
    app.config()
    app.program(version="v3")
    assert app.deploy().ok().result["color"] == "green"
    assert app.get()["version"] == "v3"
    assert [row["outcome"] for row in app.releases()] == ["live", "rolled_back", "live"]


def test_verify_leaves_nothing_live_when_the_first_release_answers_wrongly_through_nginx(app: App) -> None:
    app.config(verify={"json": {"version": "another"}})
    ended = app.deploy()
    assert (ended.code, ended.result["outcome"]) == (7, "rolled_back")
    assert "nothing is live, as before" in ended.result["error"]["message"]
    status = app.status()
    assert (status["live"], status["colors"]["blue"]["state"]) == (None, "failed")
    assert _outcomes(app) == {ended.result["release"]: "rolled_back"}
    app.config()
    app.program(version="v2")
    app.deploy().ok()
    assert app.get()["version"] == "v2"


def test_first_release_stays_live_and_needs_a_person_when_it_turns_sick(app: App) -> None:
    app.config(keep={"watch_s": 600})
    app.program(version="v1", **WELL_UNTIL_LIVE)
    ended = app.deploy()
    assert (ended.code, ended.result["outcome"]) == (10, "unhealthy")
    assert "there is no release before it to roll back to" in ended.result["error"]["message"]
    assert app.get()["version"] == "v1"
    app.config()
    app.program(version="v2")
    app.deploy().ok()
    assert app.get()["version"] == "v2"


@pytest.mark.row("E5")
def test_sick_release_stays_live_when_the_standby_is_dead_and_cannot_be_started(app: App) -> None:
    dead_for_good = app.directory / "dead"
    app.program(version="v1", exits_if=str(dead_for_good))
    app.deploy().ok()
    dead_for_good.touch()
    app.config(keep={"watch_s": 600})
    app.program(version="v2")
    standby = app.status()["colors"]["blue"]["pid"]
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="watch", state="started")
        os.kill(standby, signal.SIGKILL)
        wait_until(lambda: app.status()["colors"]["blue"]["state"] == "failed")
        app.get("/sicken")
        ended = deploying.ended()
    assert (ended.code, ended.result["outcome"]) == (10, "unhealthy")
    message = ended.result["error"]["message"]
    assert "it stays live, because blue is not well either: the program is not running" in message
    assert "; and when it was started again: 0001-" in message
    assert "is not healthy: the program is not running: it exited with code 1" in message
    assert (app.status()["live"], app.get()["version"]) == ("green", "v2")
    assert app.status()["colors"]["blue"]["state"] == "stopped"


def test_watch_rolls_back_onto_a_standby_that_answers_badly_once(app: App) -> None:
    app.program(version="v1", health_sequence=[200, 200, 500, 200])
    first = app.deploy().ok().result["release"]
    app.config(keep={"watch_s": 60})
    app.program(version="v2", **WELL_UNTIL_LIVE)
    _rolled_back(app, app.deploy(), first)


def test_watch_restarts_a_standby_that_stays_sick_and_rolls_back_onto_it(app: App) -> None:
    app.program(version="v1", health_sequence=[200, 200, 500])
    first = app.deploy().ok().result["release"]
    hung = app.get()["pid"]
    app.config(keep={"watch_s": 60})
    app.program(version="v2", **WELL_UNTIL_LIVE)
    _rolled_back(app, app.deploy(), first)
    assert app.get()["pid"] != hung


def test_watch_rolls_back_a_sick_release_and_starts_nginx_again_when_nginx_has_died(app: App) -> None:
    first = _first(app, keep={"watch_s": 600})
    app.program(version="v2")
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="watch", state="started")
        _kill_nginx(app)
        assert status_of(f"http://127.0.0.1:{app.ports[2]}/sicken") == 200
        ended = deploying.ended()
    _rolled_back(app, ended, first)


def test_rollback_needs_a_person_when_nginx_cannot_confirm_it(app: App) -> None:
    _first(app, keep={"watch_s": 600})
    app.program(version="v2")
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="watch", state="started")
        _kill_nginx(app)
        with stranger(app.ports[0]):
            assert status_of(f"http://127.0.0.1:{app.ports[2]}/sicken") == 200
            ended = deploying.ended()
    assert (ended.code, ended.result["outcome"]) == (10, "unhealthy")
    assert "rolled back to 0001-" in ended.result["error"]["message"]
    assert app.status()["live"] == "blue"
    app.config()
    app.program(version="v3")
    app.deploy().ok()
    assert app.get()["version"] == "v3"


def _first(app: App, **config: Any) -> str:
    """Deploys a good first release without a watch.

    Returns its name, with the configuration for the next one in place.
    """
    (first,) = app.deploy_versions("v1")
    app.config(**config)
    return first


def _rolled_back(app: App, ended: Ended, first: str) -> None:
    result = ended.result
    assert (ended.code, result["outcome"], result["color"]) == (7, "rolled_back", "green"), ended
    assert (app.status()["live"], app.get()["version"]) == ("blue", "v1")
    assert app.status()["colors"]["green"]["state"] == "failed"
    assert _outcomes(app) == {first: "live", result["release"]: "rolled_back"}


def _outcomes(app: App) -> dict[str, str]:
    return {row["release"]: row["outcome"] for row in app.releases()}


def _kill_nginx(app: App) -> None:
    master = int((app.world.root / "etc/nginx/nginx.pid").read_text())
    for pid in (master, *children(master)):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: refuses(app.ports[0]))
