"""An app with two versions behind it, made so that a round of a test takes about a second."""

import pytest
from crash.scenes import Scene
from world import World

QUICK = {"health": {"successes": 1}, "run": {"data": True}, "keep": {"releases": 2, "watch_s": 0, "drain_s": 0}}


@pytest.fixture
def scene(world: World, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Nothing is deployed yet."""
    return Scene(world.app(**QUICK), monkeypatch)


@pytest.fixture
def two(scene: Scene) -> Scene:
    """v2 is live, v1 stands by."""
    scene.deploy_new()
    scene.deploy_new()
    return scene
