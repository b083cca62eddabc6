"""A test on real servers has one of its own: booting takes a second, so there is nothing to share or to clean."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import servers
from server.shop import Shop, open_shop


@pytest.fixture(scope="session", autouse=True)
def can_boot() -> None:
    if reason := servers.why_not():
        pytest.skip(reason)


@pytest.fixture(params=[12, 13], ids=["debian12", "debian13"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[servers.Server]:
    """A bare one of each Debian, just booted."""
    with servers.server(request.param, tmp_path) as booted:
        yield booted


@pytest.fixture(scope="module")
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """An app that is set up, on a server that the tests of a module share; the module says of which DEBIAN."""
    with open_shop(request.module.DEBIAN, tmp_path_factory.mktemp("shop")) as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of the month also makes the image."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(600))
