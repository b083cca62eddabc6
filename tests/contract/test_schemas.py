"""Every JSON output of every command conforms to its schema, however the command ends."""

import copy
import signal
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contract.judge import SCHEMAS, complaint, judged, judged_lines
from harness.background import exclusive, in_background
from harness.world import App, Ended, World
from teal.ground.errors import BuildFailed

LOOKING = ("status", "releases", "logs")
NAMES = ["demo", "deploy-event", "doctor", "env", "logs", "logs-line", "releases", "result", "setup", "status", "teal"]


def test_schemas_are_exactly_the_expected_ones() -> None:
    assert sorted(SCHEMAS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_a_valid_json_schema(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_status_releases_and_logs_match_their_schemas_before_the_first_deploy(app: App) -> None:
    status, releases, logs = _looks(app)
    assert (status["live"], status["url"], status["colors"]["blue"]["state"]) == (None, None, "empty")
    assert (releases["releases"], logs["lines"]) == ([], [])


def test_json_output_matches_its_schema_through_a_good_story(app: App) -> None:
    planned = _story(app, "deploy", "--dry-run")
    assert (planned["outcome"], planned["dry_run"], planned["release"][:5]) == ("unchanged", True, "0001-")
    assert _story(app, "deploy")["outcome"] == "live"
    assert _story(app, "deploy")["outcome"] == "unchanged"
    app.config(build={"command": ["sh", "-c", "echo built"]}, keep={"previous_running": False})
    app.program(version="v2", says=["\x1b]0;title\x07 not JSON: { \x00", "ünïcode ☃"])
    assert _story(app, "deploy")["color"] == "green"
    status, releases, logs = _looks(app)
    assert (status["colors"]["blue"]["state"], status["colors"]["green"]["state"]) == ("stopped", "running")
    assert [row["live"] for row in releases["releases"]] == [True, False]
    assert any(line["text"] == "ünïcode ☃" for line in logs["lines"])
    assert datetime.fromisoformat(releases["releases"][0]["at"]).utcoffset() is not None
    assert _story(app, "rollback")["color"] == "blue"


def test_json_output_matches_its_schema_when_releases_are_refused_and_rolled_back(app: App) -> None:
    app.program(version="bad", exits=1)
    assert _story(app, "deploy", code=6)["previous"] is None
    _looks(app)
    app.program(version="v1")
    first = _story(app, "deploy")["release"]
    app.config(verify={"json": {"version": "v1"}})
    app.program(version="v2")
    assert _story(app, "deploy", code=7)["previous"] == first
    status, releases, _ = _looks(app)
    assert status["colors"]["green"]["state"] == "failed"
    assert [row["outcome"] for row in releases["releases"]] == ["rolled_back", "live", "unhealthy"]


def test_json_output_matches_its_schema_when_the_live_program_has_died(app: App) -> None:
    app.deploy().ok()
    with pytest.raises(OSError, match="502") as lost:
        app.get("/exit")
    lost.value.close()  # type: ignore[attr-defined]
    status, *_ = _looks(app)
    assert (status["live"], status["colors"]["blue"]["state"]) == ("blue", "failed")
    assert status["notes"]


def test_env_list_matches_its_schema_and_marks_which_secrets_are_live(app: App) -> None:
    assert _env(app) == {"schema": 1, "app": "shop", "names": [], "pending": False}
    app.teal("env", "set", "TOKEN", stdin="first").ok()
    app.deploy().ok()
    app.teal("env", "set", "KEY", stdin="second").ok()
    result = _env(app)
    assert [(row["name"], row["live"]) for row in result["names"]] == [("KEY", False), ("TOKEN", True)]
    assert result["pending"]


@pytest.mark.parametrize("command", ["deploy", "rollback"])
def test_result_is_printed_when_teal_toml_has_mistakes(app: App, command: str) -> None:
    (app.directory / "teal.toml").write_text('app = "Shop"\nrum = {}\n')
    result = _story(app, command, code=3)
    assert (result["app"], result["bytes_sent"]) == (None, 0)
    assert len(result["error"]["evidence"]) == 3


def test_doctor_output_matches_its_schema_in_every_state(app: App) -> None:
    assert _doctor(app)["state"] == "ok"
    app.program(version="v1", bind="0.0.0.0")
    app.deploy().ok()
    result = _doctor(app)
    assert (result["state"], [finding["what"] for finding in result["findings"] if finding["state"] != "ok"]) == (
        "warning",
        ["ports"],
    )
    with pytest.raises(OSError, match="502") as lost:
        app.get("/exit")
    lost.value.close()  # type: ignore[attr-defined]
    result = _doctor(app, code=10)
    assert [finding["what"] for finding in result["findings"] if finding["state"] == "fault"] == ["live", "route"]
    (app.state / "live").unlink()
    (app.state / "live").symlink_to("red")
    result = _doctor(app, code=10)
    assert "no color" in result["findings"][0]["says"]


@pytest.mark.parametrize("command", [*LOOKING, "doctor"])
def test_failed_query_prints_nothing_on_standard_output(app: App, command: str) -> None:
    (app.directory / "teal.toml").write_text('app = "Shop"\n')
    failed = app.teal(command, "--json")
    assert (failed.code, failed.out) == (3, "")
    assert "teal.toml" in failed.err


def test_followed_log_line_matches_its_schema(app: App) -> None:
    app.deploy().ok()
    with in_background(app, "logs", "--follow", "--json") as following:
        following.wait_for(color="blue")
        app.program(version="v2", says=["something new"])
        app.deploy().ok()
        following.wait_for(color="green", text="something new")
        following.send(signal.SIGINT)
        ended = following.ended()
    assert ended.code == 0
    for line in ended.lines:
        judged("logs-line", line)


@pytest.mark.hint("install Go, or: pip install 'teal-deploy[demo]'")
def test_demo_output_matches_its_schema(world: World) -> None:
    (world.home / "go").mkdir()
    (world.home / "go/__init__.py").touch()  # hides that of the package, and has no Go
    path = f"{world.home}:{world.env['PYTHONPATH']}"
    assert "→ install Go, or: pip install 'teal-deploy[demo]'" in world.teal("demo", PATH="/none", PYTHONPATH=path).err
    with exclusive("free ports"):
        result = world.teal("demo", "--json")
    if result.code == BuildFailed.exit_code:
        pytest.skip(f"the demo cannot build its example here: {result.err}")
    *events, last = result.ok().lines
    judged("demo", last)
    for event in events:
        judged("deploy-event", event)


RESULT: dict[str, Any] = {
    "type": "result",
    "schema": 1,
    "outcome": "live",
    "app": "shop",
    "release": "0007-3f2a9c1b7d4e",
    "color": "blue",
    "previous": None,
    "url": "http://127.0.0.1:8080/",
    "bytes_sent": 1,
    "artifact_bytes": 1,
    "seconds": dict.fromkeys(("build", "connect", "upload", "start", "health", "switch", "watch", "total"), 0.5),
}
ERROR = {"exit_code": 6, "message": "no", "evidence": [], "hint": ""}
BAD: dict[str, Callable[[dict[str, Any]], object]] = {
    "a new member": lambda result: result.update(color_of_the_day="teal"),
    "a member less": lambda result: result.pop("previous"),
    "another schema": lambda result: result.update(schema=2),
    "an unknown outcome": lambda result: result.update(outcome="fine"),
    "an unknown color": lambda result: result.update(color="red"),
    "no release": lambda result: result.update(release=None),
    "a path for a release": lambda result: result.update(release="../0007-3f2a9c1b7d4e"),
    "a step more": lambda result: result["seconds"].update(sleep=1),
    "a step less": lambda result: result["seconds"].pop("watch"),
    "negative time": lambda result: result["seconds"].update(total=-1),
    "a good end with an error": lambda result: result.update(error=ERROR),
    "a bad end without an error": lambda result: result.update(outcome="unhealthy", url=None),
    "an exit code of another outcome": lambda result: result.update(outcome="rolled_back", url=None, error=ERROR),
    "a plan of what was done": lambda result: result.update(dry_run=True, plan=["nothing"]),
}


@pytest.mark.parametrize("change", BAD.values(), ids=list(BAD))
def test_result_schema_rejects_each_wrong_change(change: Callable[[dict[str, Any]], object]) -> None:
    assert complaint("result", RESULT) is None
    changed = copy.deepcopy(RESULT)
    change(changed)
    assert complaint("result", changed)
    assert complaint("deploy-event", changed)


def _story(app: App, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The result of a deploy or rollback. Every line conforms to the schemas."""
    ended: Ended = app.teal(*arguments, "--json")
    assert ended.code == code, ended
    return judged_lines(ended)[-1]


def _doctor(app: App, code: int = 0) -> dict[str, Any]:
    ended = app.teal("doctor", "--json")
    assert ended.code == code, ended
    return judged("doctor", ended.result)


def _env(app: App) -> dict[str, Any]:
    return judged("env", app.teal("env", "list", "--json").ok().result)


def _looks(app: App) -> list[dict[str, Any]]:
    return [judged(command, app.teal(command, "--json").ok().result) for command in LOOKING]
