"""Every test on a server runs on both Debians. A module that shares a server boots one for each Debian."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import harness
from server.shop import Shop, open_shop


@pytest.fixture(scope="session", autouse=True)
def can_boot() -> None:
    if reason := harness.why_not():
        pytest.skip(reason)


@pytest.fixture(scope="package", params=[12, 13], ids=["debian12", "debian13"])
def debian(request: pytest.FixtureRequest) -> int:
    """Both Debians."""
    return int(request.param)


@pytest.fixture
def server(debian: int, tmp_path: Path) -> Iterator[harness.Server]:
    """A bare server of each Debian, just booted."""
    with harness.server(debian, tmp_path) as booted:
        yield booted


@pytest.fixture(scope="module")
def shop(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """An app that is set up on a server. The tests of a module share both."""
    with open_shop(debian, tmp_path_factory.mktemp("shop")) as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives tests on servers more time, because the first test of the month also builds the image."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(600))
