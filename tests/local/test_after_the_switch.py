"""After the switch: a release that turns sick is rolled back once, and a rollback goes where a person expects."""

import os
import signal
from collections import Counter
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
    first = _first(app, keep={"watch_s": 600})
    app.program(version="v2")
    with load(app) as visitors, in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="watch", state="started")
        assert app.get()["version"] == "v2"
        wait_for_requests(visitors)
        well = visitors.tally()
        assert well.failed == 0, well
        assert status_of(f"http://127.0.0.1:{app.ports[0]}/exit") == 502
        ended = deploying.ended()
        turned = visitors.tally()
        _rolled_back(app, ended, first)
        wait_for_requests(visitors)
    assert "it exited with code 3" in ended.result["error"]["message"]
    seen = visitors.tally()
    assert 0 < seen.failed <= turned.requests - well.requests
    lost_after = seen.failed - turned.failed
    counted(requests=seen.requests, lost_while_it_was_down=turned.failed, lost_after_the_turn_back=lost_after)
    assert lost_after == 0, seen.failures


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
    says = f"{first} on blue does not run; the link points to blue, as before"
    assert (ended.code, ended.result["error"]["message"].endswith(says)) == (10, True), ended
    assert app.status()["live"] == "blue"
    app.config()
    assert app.deploy().ok().result["color"] == "green"


def test_deploy_goes_live_after_a_release_was_rolled_back(app: App) -> None:
    _first(app, keep={"watch_s": 600})
    app.program(version="v2", **WELL_UNTIL_LIVE)
    assert app.deploy().code == 7
    app.config()
    app.program(version="v3")
    assert app.deploy().ok().result["color"] == "green"
    assert app.get()["version"] == "v3"
    assert [row["outcome"] for row in _releases(app)] == ["live", "rolled_back", "live"]


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


def test_previous_color_stops_without_previous_running_and_a_rollback_starts_it_again(app: App) -> None:
    _deployed(app, "v1", keep={"previous_running": False, "drain_s": 1})
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


def test_rollback_goes_to_a_named_release_that_no_longer_runs(app: App) -> None:
    first, *_ = _deployed(app, "v1", "v2", "v3")
    back = app.teal("rollback", first, "--json").ok().result
    assert (back["outcome"], back["release"]) == ("live", first)
    assert app.get()["version"] == "v1"


@pytest.mark.row("E6")
def test_rollback_goes_one_release_further_each_time_until_no_earlier_release_remains(app: App) -> None:
    first, second, _ = _deployed(app, "v1", "v2", "v3")
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
    first, *_ = _deployed(app, "v1")
    app.program(version="refused", exits=1)
    assert app.deploy().code == 6
    app.config(keep={"watch_s": 600})
    app.program(version="turned back", **WELL_UNTIL_LIVE)
    assert app.deploy().code == 7
    _deployed(app, "v2")
    for release in _outcomes(app):  # as if Teal could not remove their files
        (app.state / "releases" / release).mkdir(exist_ok=True)
    assert app.teal("rollback", "--json").ok().result["release"] == first
    assert app.get()["version"] == "v1"


@pytest.mark.row("F6")
def test_prune_keeps_the_configured_number_of_good_releases_and_does_not_count_bad_releases(app: App) -> None:
    app.config(keep={"releases": 3})
    _deployed(app, "v1", "v2", "v3")
    for number in range(2):
        app.program(version=f"bad {number}", exits=1)
        assert app.deploy().code == 6
    _deployed(app, "v4", keep={"releases": 3})
    rows = [(row["outcome"], row["stored"]) for row in reversed(_releases(app))]
    assert rows == [("live", False), ("live", True), ("live", True), *[("unhealthy", False)] * 2, ("live", True)]
    stored = {path.name for path in (app.state / "releases").iterdir()}
    assert stored == {row["release"] for row in _releases(app) if row["stored"]}


def test_data_is_shared_by_every_release_and_survives_deploys_and_a_rollback(app: App) -> None:
    app.config(run={"data": True})
    for version in ("v1", "v2", "v3"):
        app.program(version=version)
        app.deploy().ok()
        app.get("/write")
    assert app.get("/kept")["kept"] == ["v1", "v2", "v3"]
    app.teal("rollback").ok()
    assert app.get("/write")["kept"] == ["v1", "v2", "v3", "v2"]


def _first(app: App, **config: Any) -> str:
    """Deploys a good first release without a watch.

    Returns its name, with the configuration for the next one in place.
    """
    (first,) = _deployed(app, "v1")
    app.config(**config)
    return first


def _deployed(app: App, *versions: str, **config: Any) -> list[str]:
    app.config(**config)
    names = []
    for version in versions:
        app.program(version=version)
        names.append(app.deploy().ok().result["release"])
    return names


def _rolled_back(app: App, ended: Ended, first: str) -> None:
    result = ended.result
    assert (ended.code, result["outcome"], result["color"]) == (7, "rolled_back", "green"), ended
    assert (app.status()["live"], app.get()["version"]) == ("blue", "v1")
    assert app.status()["colors"]["green"]["state"] == "failed"
    assert _outcomes(app) == {first: "live", result["release"]: "rolled_back"}


def _releases(app: App) -> list[dict[str, Any]]:
    """The releases, newest first."""
    rows = app.teal("releases", "--json").ok().result["releases"]
    assert isinstance(rows, list)
    return rows


def _outcomes(app: App) -> dict[str, str]:
    return {row["release"]: row["outcome"] for row in _releases(app)}


def _kill_nginx(app: App) -> None:
    master = int((app.world.root / "etc/nginx/nginx.pid").read_text())
    for pid in (master, *children(master)):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: refuses(app.ports[0]))
