"""What a destroy says of the data before it asks."""

import os
from pathlib import Path

from teal_host.stories import destroy

DEPTH = 1100  # more than Python calls itself


def test_data_is_counted_when_its_directories_are_nested_without_end(tmp_path: Path) -> None:
    (tmp_path / "app.db").write_text("seven b")
    folder = tmp_path
    for _ in range(DEPTH):
        folder = folder / "d"
        folder.mkdir()
    try:
        assert sum(destroy._sizes(tmp_path)) == 7
    finally:
        while folder != tmp_path:
            folder.rmdir()
            folder = folder.parent


def test_data_is_counted_when_a_file_goes_meanwhile(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("1")
    sizes = destroy._sizes(tmp_path)
    next(sizes)
    for name in os.listdir(tmp_path):
        (tmp_path / name).unlink()
    assert sum(sizes) <= 2
