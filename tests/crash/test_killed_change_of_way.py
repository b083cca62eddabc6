"""The server side is killed where a color changes between a port and a unix socket."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crash.scenes import NEVER, QUICK, Scene
from harness import world as worlds

SOCKET, PORT = ["./program", "{socket}"], ["./program"]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Its state is in a directory with a short name: the path of a socket has 107 bytes at most."""
    with tempfile.TemporaryDirectory() as home, worlds.world(Path(home)) as world:
        yield Scene(world.app(**QUICK), monkeypatch)


def listens_by(scene: Scene, command: list[str]) -> None:
    scene.app.config(**{**QUICK, "run": {**QUICK["run"], "command": command}})


@pytest.mark.parametrize(
    ("before", "after", "moments"),
    [(PORT, SOCKET, ("write socket+0", "rename socket+1")), (SOCKET, PORT, ("remove socket+0", "remove socket+1"))],
    ids=["to a socket", "to a port"],
)
@pytest.mark.row("A1", "A3")
def test_deploy_killed_where_the_color_changes_its_way_leaves_one_release_serving(
    scene: Scene, before: list[str], after: list[str], moments: tuple[str, ...]
) -> None:
    for when in moments:
        listens_by(scene, before)
        standby, live = scene.deploy_new(), scene.deploy_new()
        listens_by(scene, after)
        scene.new_version()
        assert scene.deploy(when).was_ended
        scene.check_serves(live)
        assert scene.rollback(NEVER).error is None
        scene.check_settled(standby)
