"""A real command produces each exit code, and its last line says the same."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from contract.judge import judged_lines
from harness.background import BUILDS_ON, in_background
from harness.world import App, Ended

ELSEWHERE = "ssh://nobody@127.0.0.1:1"
HELP = [("--help",), ("--version",), ("deploy", "-h"), ("completion", "bash")]


@dataclass(frozen=True)
class Ending:
    code: int
    outcome: str
    name: str
    make: Callable[[App], Ended]


def _live(app: App) -> Ended:
    return app.deploy()


def _nothing_to_do(app: App) -> Ended:
    app.deploy().ok()
    return app.deploy()


def _planned(app: App) -> Ended:
    return app.deploy("--dry-run")


def _disk_in_the_way(app: App) -> Ended:
    """Puts a file where a directory must be."""
    app.world.root.mkdir(parents=True)
    (app.world.root / "var").touch()
    return app.deploy()


def _nothing_to_go_back_to(app: App) -> Ended:
    app.deploy().ok()
    return app.teal("rollback", "--json")


def _no_release(app: App) -> Ended:
    return app.teal("rollback", "yesterday", "--json")


def _mistake(app: App) -> Ended:
    app.config(health={"deadline": 3})
    return app.deploy()


def _no_artifact(app: App) -> Ended:
    return app.deploy("--artifact", "nowhere")


def _does_not_fit(app: App) -> Ended:
    (app.directory / "program").write_text("#!/no/such/interpreter\n")
    return app.deploy()


def _out_of_reach(app: App) -> Ended:
    app.config(server={"target": ELSEWHERE})
    return app.deploy()


def _build_fails(app: App) -> Ended:
    app.config(build={"command": ["sh", "-c", "echo no such package; exit 3"]})
    return app.deploy()


def _no_compiler(app: App) -> Ended:
    app.config(build={"command": ["no-such-compiler"]})
    return app.deploy()


def _unhealthy(app: App) -> Ended:
    app.program(version="bad", exits=1)
    return app.deploy()


def _rolled_back(app: App) -> Ended:
    app.deploy().ok()
    app.config(keep={"watch_s": 600})
    app.program(version="bad", health_sequence=[200, 200, 500])
    return app.deploy()


def _superseded(app: App) -> Ended:
    app.deploy().ok()
    app.config(keep={"watch_s": 600})
    app.program(version="watched")
    with in_background(app, "deploy", "--json") as watching:
        watching.wait_for(type="step", name="watch", state="started")
        app.teal("rollback").ok()
        return watching.ended()


def _locked(app: App) -> Ended:
    app.config(health={"deadline_s": 600})
    app.program(version="slow", never_listens=True)
    with in_background(app, "deploy", "--json") as first:
        first.wait_for(type="step", name="health", state="started")
        refused = app.deploy()
        os.kill(first.server_side(), signal.SIGKILL)
    return refused


def _server_side_killed(app: App) -> Ended:
    return _struck(app, at_the_server=True)


def _interrupted_after_commit(app: App) -> Ended:
    return _struck(app, at_the_server=False)


def _struck(app: App, at_the_server: bool) -> Ended:
    """A deploy in whose health step the server side is killed, or the client is interrupted."""
    app.config(health={"deadline_s": 5})
    app.program(version="slow", never_listens=True)
    with in_background(app, "deploy", "--json") as running:
        running.wait_for(type="step", name="health", state="started")
        if at_the_server:
            os.kill(running.server_side(), signal.SIGKILL)
        else:
            running.send(signal.SIGINT)
        return running.ended()


def _nothing_well_is_left(app: App) -> Ended:
    app.config(keep={"watch_s": 600})
    app.program(version="bad", health_sequence=[200, 200, 500])
    return app.deploy()


def _interrupted_in_the_build(app: App) -> Ended:
    app.config(build={"command": ["sh", "-c", BUILDS_ON]})
    with in_background(app, "deploy", "--json") as running:
        running.wait_for(type="output", line="building")
        running.send(signal.SIGINT)
        return running.ended()


ENDINGS = [
    Ending(0, "live", "live and confirmed", _live),
    Ending(0, "unchanged", "nothing to do", _nothing_to_do),
    Ending(0, "unchanged", "a plan", _planned),
    Ending(1, "refused", "the system says no", _disk_in_the_way),
    Ending(2, "refused", "nothing to go back to", _nothing_to_go_back_to),
    Ending(2, "refused", "no release of that name", _no_release),
    Ending(3, "refused", "a mistake in teal.toml", _mistake),
    Ending(3, "refused", "no artifact", _no_artifact),
    Ending(3, "refused", "an interpreter that is not there", _does_not_fit),
    Ending(4, "refused", "out of reach", _out_of_reach),
    Ending(5, "refused", "the build fails", _build_fails),
    Ending(5, "refused", "no such compiler", _no_compiler),
    Ending(6, "unhealthy", "the program ends", _unhealthy),
    Ending(7, "rolled_back", "sick in the watch", _rolled_back),
    Ending(7, "superseded", "a rollback in the watch", _superseded),
    Ending(8, "refused", "another one is at work", _locked),
    Ending(9, "unknown", "the server side is killed", _server_side_killed),
    Ending(10, "unhealthy", "nothing well is left", _nothing_well_is_left),
    Ending(130, "unknown", "interrupted after commit", _interrupted_after_commit),
    Ending(130, "refused", "interrupted in the build", _interrupted_in_the_build),
]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: f"{ending.code} {ending.name}")
def test_exit_code_matches_the_outcome_of_a_command(app: App, ending: Ending) -> None:
    ended = ending.make(app)
    assert ended.code == ending.code, ended
    result = judged_lines(ended)[-1]
    assert result["outcome"] == ending.outcome
    if ending.code:
        assert result["error"]["message"] in ended.err.replace("\n", " ")
        assert ended.err.splitlines()[-1].strip().removeprefix("→ ")
    else:
        assert ended.err == ""


def test_deploy_works_after_one_with_an_unknown_outcome(app: App) -> None:
    assert _server_side_killed(app).code == 9
    app.config()
    app.program(version="next")
    ended = app.deploy().ok()
    assert any(line["type"] == "note" and "was interrupted" in line["text"] for line in judged_lines(ended))
    assert app.get()["version"] == "next"


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_exit_code_is_4_for_status_and_doctor_when_the_server_is_out_of_reach(app: App, command: str) -> None:
    app.config(server={"target": ELSEWHERE})
    ended = app.teal(command)
    assert (ended.code, ended.out) == (4, "")


USAGE = [
    ["no-such-command"],
    ["deploy", "--no-such-option"],
    ["deploy", "--wait", "a-minute"],
    ["logs", "--color", "red"],
    ["logs", "-n", "-1"],
    ["completion", "tcsh"],
    ["destroy"],  # no terminal to ask on, and no --yes
    ["env", "set"],
    ["env", "set", "PORT"],
    ["env", "set", "A=1"],
    ["env", "unset", "A"],  # the variable is not set
    ["exec"],
    ["exec", "--", "ls"],  # nothing is live
]


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_exit_code_is_2_when_the_command_line_makes_no_sense(app: App, arguments: list[str]) -> None:
    ended = app.teal(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err


LOOKING = [("status",), ("releases",), ("logs",), ("env", "list"), ("env", "set", "A"), ("exec", "--", "ls")]


@pytest.mark.parametrize("command", [*LOOKING, ("destroy", "-y")], ids=" ".join)
@pytest.mark.parametrize(("code", "target"), [(3, "http://example.com"), (4, ELSEWHERE)])
def test_exit_code_of_other_commands_is_3_for_a_wrong_target_and_4_out_of_reach(
    app: App, command: tuple[str, ...], code: int, target: str
) -> None:
    app.config(server={"target": target})
    ended = app.teal(*command)
    assert (ended.code, ended.out) == (code, "")


def test_exit_code_of_destroy_is_2_when_there_is_no_app(app: App) -> None:
    assert app.teal("destroy", "-y").code == 2


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_exit_code_of_help_is_0_and_no_error_is_printed(app: App, arguments: tuple[str, ...]) -> None:
    ended = app.teal(*arguments)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out
