"""Fixtures that many tests need."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling  # type: ignore[import-untyped]

from harness import world as worlds

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
    """One worker runs a module of tests on a server, or a folder of them, for each Debian: the server boots once."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        if not file.startswith("tests/server/"):
            return nodeid
        folder = file.rpartition("/")[0]
        debian = re.search(r"debian\d+", nodeid)
        return f"{file if folder == 'tests/server' else folder} {debian[0] if debian else ''}"


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keep counts for docs/guarantees.md, and show them."""

    def keep(**counts: object) -> None:
        print("".join(f"\n{value} {name.replace('_', ' ')}" for name, value in counts.items()))
        told = {name: f"{value:,}" if isinstance(value, int) else value for name, value in counts.items()}
        request.node.user_properties += told.items()

    return keep


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """For workers those on servers, the longest, come first: at the end nobody waits for one of them."""
    for item in items:
        rows = [name for mark in item.iter_markers("row") for name in mark.args]
        item.user_properties += [("test", item.nodeid), ("rows", " ".join(rows))]
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith("tests/server/"))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return _Grouped(config, log) if config.getvalue("dist") == "loadgroup" else None
