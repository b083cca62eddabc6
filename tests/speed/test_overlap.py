"""The build runs while the client opens the connection; a server that the client cannot reach ends the build."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.world import App, World
from teal.building import known_machines
from teal.building.known_machines import Machine
from teal.config import load
from teal.ground.errors import BuildFailed, CannotReach, HostFailed
from teal.stories.deploy import DeployOptions, deploy
from teal.stories.result_json import Account
from teal.transports import Transport, choose
from teal.ui.plain import Quiet
from teal_host.wire.messages import Step

SLOW_S = 1.0


class Heard(Quiet):
    """Records what a person sees, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def step(self, step: Step) -> None:
        self.seen.append(f"{step.name} {step.state}")

    def output(self, line: str) -> None:
        self.seen.append(line)


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


@pytest.fixture
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> App:
    for name, value in {**world.env, "XDG_CACHE_HOME": str(world.home / "cache")}.items():
        monkeypatch.setenv(name, value)
    return world.app("shop")


def opens_after(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Opens the connection through this script. GO_ON in the script becomes the server side."""

    def slow(target: str) -> Transport:
        go_on = script.replace("GO_ON", f'exec \'{sys.executable}\' -I -S "$0" "$@"')
        return replace(choose(target), python=("/bin/sh", "-c", go_on))

    monkeypatch.setattr("teal.pipe.open.choose", slow)


def made(app: App, command: list[str], ui: Heard) -> Account:
    text = (app.directory / "teal.toml").read_text()
    (app.directory / "teal.toml").write_text(text.replace("[build]\n", f"[build]\ncommand = {json.dumps(command)}\n"))
    account = Account()
    deploy(load(app.directory), DeployOptions(), ui, account)
    return account


def test_build_runs_while_the_connection_is_opened(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The build and the connection wait for each other, so a deploy that does one after the other never ends."""
    opening, building = app.directory / "opening", app.directory / "building"
    meet = "touch '{}'; until [ -e '{}' ]; do sleep 0.05; done; "
    opens_after(monkeypatch, meet.format(opening, building) + f"sleep {SLOW_S}; GO_ON")
    command = meet.format(building, opening) + f"echo built; sleep {SLOW_S}"
    ui = Heard()
    account = made(app, ["sh", "-c", command], ui)
    assert account.seconds["connect"] >= SLOW_S
    assert account.seconds["build"] >= SLOW_S
    assert account.seconds["total"] < sum(took for step, took in account.seconds.items() if step != "total")
    assert ui.seen[:4] == ["connect started", "connect done", "build started", "built"]  # ssh may have asked something


def test_server_that_cannot_be_reached_ends_the_build(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    opens_after(monkeypatch, "sleep 0.2; exit 3")
    began = time.monotonic()
    with pytest.raises(CannotReach):
        made(app, python("import time; time.sleep(600)"), Heard())
    assert time.monotonic() - began < 300


def test_build_that_fails_first_shows_its_output(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    opens_after(monkeypatch, "sleep 600")
    ui = Heard()
    with pytest.raises(BuildFailed):
        made(app, python("print('broken'); raise SystemExit(2)"), ui)
    assert "broken" in ui.seen


def test_refusal_by_the_server_ends_the_build(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """No client waits for a refusal that the server does not send, and a refusal does not wait for the artifact."""
    app.config(server={"domains": ["shop.test"]})
    app.deploy().ok()
    other = app.world.app("other", server={"domains": ["shop.test"], "http_port": app.ports[0]})
    opens_after(monkeypatch, "GO_ON")
    ui = Heard()
    began = time.monotonic()
    with pytest.raises(HostFailed) as refused:
        made(other, python("import time; time.sleep(600)"), ui)
    assert time.monotonic() - began < 300
    assert (refused.value.exit_code, refused.value.message) == (
        3,
        'the domain "shop.test" is served for the app shop already',
    )
    assert ui.seen[-1] == "build failed"


def test_server_side_that_goes_away_ends_the_build(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The build is for the machine that greets, so the build begins after the greeting."""
    building = app.directory / "building"
    kill = f"(while kill -0 $$ && ! [ -e '{building}' ]; do sleep 0.05; done; kill -KILL $$) 2>/dev/null &"
    opens_after(monkeypatch, f"{kill} GO_ON")
    with pytest.raises(CannotReach, match="contact lost before commit"):
        made(app, python(f"open('{building}', 'w'); '{{arch}}'; import time; time.sleep(600)"), Heard())


@pytest.mark.parametrize("known", [None, "another", "this"])
def test_build_for_a_machine_is_for_the_server_that_greets(
    app: App, known: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opens_after(monkeypatch, "GO_ON")
    here = Machine(__import__("os").uname().machine, "linux")
    if known:
        known_machines.remember("local", here if known == "this" else Machine("riscv64", "linux"))
    log = tmp_path / "log"
    made(app, python(f"open({str(log)!r}, 'a').write('{{arch}} ')"), Heard())
    built = log.read_text().split()
    assert built == (["riscv64", here.machine] if known == "another" else [here.machine])
    assert known_machines.recall("local") == here
