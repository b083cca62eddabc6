"""A first deploy is killed at any act, the next one finishes, then the power fails: what was answered stays.

Acts that the first deploy did not sync would be lost, unless the second deploy syncs them.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from power.disk import Cut
from power.host import Fuse, Killed, LastingHost
from teal_host.ground import files

NOTHING_LATE = Cut((0.0,), 0.0)
MEMORY = Path("/dev/shm")


def _home(tmp_path: Path, number: int) -> Path:
    home = MEMORY / f"teal-{os.getpid()}-{number}" if os.access(MEMORY, os.W_OK) else tmp_path / str(number)
    home.mkdir()
    return home


def lost_after(tmp_path: Path) -> Iterator[int]:
    """The acts of the first deploy after which the release of the second one is not live, or does not come back."""
    number, reached = 0, True
    while reached:
        number += 1
        host = LastingHost(_home(tmp_path, number), server=True, previous_running=True)
        try:
            host.set_up("shop")
            reached = _killed(partial(host.deploy, "shop", "well-1", "killed", Fuse(number)))
            answered = host.deploy("shop", "well-1", "done", Fuse()).release
            host.lose_power(NOTHING_LATE)
            host.boot()
            found = host.picture("shop")
            if found.live_release != answered or not found.live_runs:
                yield number
        finally:
            host.close()
    assert number > 40


def _killed(command: Callable[[], object]) -> bool:
    try:
        command()
    except Killed:
        return True
    return False


def test_answered_deploy_survives_a_power_cut_after_a_killed_deploy(tmp_path: Path) -> None:
    assert list(lost_after(tmp_path)) == []


def test_answered_deploy_is_lost_when_directories_are_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows that the harness finds the loss."""
    monkeypatch.setattr(files, "sync_dirs", lambda folders: None)
    assert next(lost_after(tmp_path))
