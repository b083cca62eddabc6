"""Fixtures that many tests need."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling  # type: ignore[import-untyped]

from harness import world as worlds
from teal_host.ground import overtaking

# A shell starts a background job with these signals ignored, and child processes inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it


@pytest.fixture(autouse=True)
def _new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command is a process of its own: what one test asked of this process holds for no other test."""
    monkeypatch.setattr(overtaking, "_THIS", overtaking._ThisCommand())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[worlds.World]:
    with worlds.world(tmp_path) as world_of_test:
        yield world_of_test


@pytest.fixture
def app(world: worlds.World) -> worlds.App:
    return world.app()


class _Grouped(LoadScopeScheduling):  # type: ignore[misc]
    """Lets one worker run all tests of a server for one Debian, so that the server boots once."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        if not file.startswith("tests/server/"):
            return nodeid
        folder = file.rpartition("/")[0]
        debian = re.search(r"debian\d+", nodeid)
        return f"{file if folder == 'tests/server' else folder} {debian[0] if debian else ''}"


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keeps counts for docs/guarantees.md, and prints them."""

    def keep(**counts: object) -> None:
        print("".join(f"\n{value} {name.replace('_', ' ')}" for name, value in counts.items()))
        texts = {name: f"{value:,}" if isinstance(value, int) else value for name, value in counts.items()}
        request.node.user_properties += texts.items()

    return keep


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Runs tests on servers first, because they take longest: no worker then waits for one at the end."""
    for item in items:
        rows = [name for mark in item.iter_markers("row") for name in mark.args]
        item.user_properties += [("test", item.nodeid), ("rows", " ".join(rows))]
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith("tests/server/"))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return _Grouped(config, log) if config.getvalue("dist") == "loadgroup" else None
