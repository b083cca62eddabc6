"""Fixtures that many tests need."""

import functools
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling  # type: ignore[import-untyped]

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


class _Grouped(LoadScopeScheduling):  # type: ignore[misc]
    """A module that names an xdist_group is run by one worker, so that it boots its server once.

    By its text: with pytest 9.2 the name does not reach xdist 3.8, which gives the tests to any worker.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return file if _is_group(self.config.rootpath / file) else nodeid


@functools.cache
def _is_group(file: Path) -> bool:
    return "xdist_group(" in file.read_text()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return _Grouped(config, log) if config.getvalue("dist") == "loadgroup" else None
