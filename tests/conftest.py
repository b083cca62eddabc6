"""Fixtures that many tests need."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import world as worlds

# A shell starts a job in the background with these ignored, and what is ignored is inherited by what tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[worlds.World]:
    with worlds.world(tmp_path) as made:
        yield made


@pytest.fixture
def app(world: worlds.World) -> worlds.App:
    return world.app()
