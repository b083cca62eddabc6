"""Fixtures that many tests need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import world as worlds


@pytest.fixture
def world(tmp_path: Path) -> Iterator[worlds.World]:
    with worlds.world(tmp_path) as made:
        yield made


@pytest.fixture
def app(world: worlds.World) -> worlds.App:
    return world.app()
