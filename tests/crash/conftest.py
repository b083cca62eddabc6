"""An app with two releases, with settings that make one round of a test short."""

import pytest

from crash.scenes import QUICK, Scene
from harness.world import World


@pytest.fixture
def scene(world: World, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """An app without a release."""
    return Scene(world.app(**QUICK), monkeypatch)


@pytest.fixture
def two(scene: Scene) -> Scene:
    """An app on which v2 is live and v1 is the standby."""
    scene.deploy_new()
    scene.deploy_new()
    return scene
