"""An app with two versions behind it, made so that one round of a test is short."""

import pytest

from crash.scenes import QUICK, Scene
from harness.world import World


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
