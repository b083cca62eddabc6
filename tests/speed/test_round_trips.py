"""Counts how often one side waits for the other.

Each wait costs 50 ms over a common line, and 200 ms over a bad line.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.world import App, World
from teal.config import load
from teal.stories import queries
from teal.stories.deploy import DeployOptions, deploy
from teal.stories.result_json import Account
from teal.stories.rollback import RollbackOptions, rollback
from teal.transports import Transport, choose
from teal.ui.plain import Quiet


@pytest.fixture
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> App:
    for name, value in world.env.items():
        monkeypatch.setenv(name, value)
    return world.app("shop")


@pytest.fixture
def turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """The turns of the last command.

    A local target gets the server side through the pipe; a server after setup has it already.
    """
    file = tmp_path / "turns"

    def tapped(target: str) -> Transport:
        python = (sys.executable, "-I", "-S", str(Path(__file__).with_name("tap.py")), str(file))
        return replace(choose(target), python=python)

    monkeypatch.setattr("teal.pipe.open.choose", tapped)
    return lambda: file.read_text().removeprefix("sc")  # the server asks for the server side and gets it


def test_deploy_waits_twice(app: App, turns: Callable[[], str]) -> None:
    """The client waits for the greeting, which comes with the login, and for the list of missing files.

    Then only the end is left.
    """
    file = load(app.directory)
    for version in ("v1", "v2"):
        app.program(version=version)
        deploy(file, DeployOptions(), Quiet(), Account())
        assert turns() == "scscs"


def test_rollback_and_status_wait_once(app: App, turns: Callable[[], str]) -> None:
    file = load(app.directory)
    for version in ("v1", "v2"):
        app.program(version=version)
        deploy(file, DeployOptions(), Quiet(), Account())
    rollback(file, RollbackOptions(), Quiet(), Account())
    assert turns() == "scs"
    queries.status(file)
    assert turns() == "scs"
