"""A real disk of a few pages that fills up during a write: each append is whole or undone, each file old or new."""

import errno
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from teal.ground import files as client_files
from teal.ground.errors import Usage
from teal_host.ground import files
from teal_host.ground.journal import Journal


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def audited(path: Path, text: str) -> None:
    files.append_line(path, json.dumps({"did": text}), mode=0o600)


def begun(path: Path, text: str) -> None:
    Journal(path).write("begin", "id", what=text)


@pytest.mark.row("F2", "F16")
@pytest.mark.parametrize("append", [begun, audited])
def test_history_has_whole_lines_when_its_disk_is_full(disk: Path, append: Callable[[Path, str], None]) -> None:
    path = disk / "history"
    written = 0
    with pytest.raises(OSError) as full:
        while written < 1000:
            before = path.read_bytes() if written else b""
            append(path, "x" * written)
            written += 1
    assert full.value.errno == errno.ENOSPC
    assert path.read_bytes() == before
    assert [json.loads(line) for line in path.read_text().splitlines()]
    assert before.count(b"\n") == written > 10
    (disk / "history").rename(disk / "older")
    os.truncate(disk / "older", 0)
    append(path, "again")
    assert path.read_text().count("\n") == 1


@pytest.mark.row("F16")
def test_client_keeps_the_old_file_when_its_disk_is_full(disk: Path) -> None:
    path, large = disk / "speeds.json", "x" * 20_000
    client_files.write(path, "old")
    with pytest.raises(Usage, match="No space left on device"):
        client_files.write(path, large)
    assert path.read_text() == "old"
    source = disk.parent / "source"
    source.write_text(large)
    with pytest.raises(OSError, match="No space left on device"):
        client_files.copy_private(source, path)
    assert path.read_text() == "old"
    client_files.write(path, "new")
    assert [entry.name for entry in disk.iterdir()] == ["speeds.json"]
