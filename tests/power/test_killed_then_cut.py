"""A command is killed at any act, the next one finishes, then the power fails: what was answered stays.

Acts that the first command did not sync would be lost, unless the second command syncs them.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from power.disk import Cut
from power.host import Fuse, Killed, LastingHost
from power.stories import content
from teal_host.ground import files
from teal_host.state import secrets

NOTHING_LATE = Cut((0.0,), 0.0)
MEMORY = Path("/dev/shm")


def _home(tmp_path: Path, number: int) -> Path:
    home = MEMORY / f"teal-{os.getpid()}-{number}" if os.access(MEMORY, os.W_OK) else tmp_path / str(number)
    home.mkdir()
    return home


def _killed_hosts(tmp_path: Path, command: Callable[[LastingHost, Fuse], object]) -> Iterator[tuple[int, LastingHost]]:
    """A host for each act of the command at which it is killed, and one where it ends."""
    number, reached = 0, True
    while reached:
        number += 1
        host = LastingHost(_home(tmp_path, number), server=True, previous_running=True)
        try:
            host.set_up("shop")
            reached = _killed(partial(command, host, Fuse(number)))
            yield number, host
        finally:
            host.close()


def lost_after(tmp_path: Path) -> Iterator[int]:
    """The acts of the first deploy after which the release of the second one is not live, does not come back, or is not
    whole.
    """
    number = 0
    for number, host in _killed_hosts(tmp_path, lambda host, fuse: host.deploy("shop", "well-1", "killed", fuse)):
        answered = host.deploy("shop", "well-1", "done", Fuse()).release
        host.lose_power(NOTHING_LATE)
        host.boot()
        picture = host.picture("shop")
        is_live = picture.live_release == answered and picture.live_runs
        if not is_live or host.version("shop", answered or "").encode() != content("well-1"):
            yield number
    assert number > 40


def lost_secrets(tmp_path: Path) -> Iterator[int]:
    """The acts of a first `teal env set` after which the value is lost that the second one confirmed."""
    number = 0
    for number, host in _killed_hosts(tmp_path, lambda host, fuse: host.set_secret("shop", fuse)):
        host.set_secret("shop", Fuse())
        host.lose_power(NOTHING_LATE)
        if secrets.load(host.app("shop").paths).values != {"TOKEN": "a secret"}:
            yield number
    assert number > 4


def _killed(command: Callable[[], object]) -> bool:
    try:
        command()
    except Killed:
        return True
    return False


def test_answered_deploy_survives_a_power_cut_after_a_killed_deploy(tmp_path: Path) -> None:
    assert list(lost_after(tmp_path)) == []


def test_confirmed_secret_survives_a_power_cut_after_a_killed_env_set(tmp_path: Path) -> None:
    assert list(lost_secrets(tmp_path)) == []


def test_answered_deploy_is_lost_when_directories_are_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows that the harness finds the loss."""
    monkeypatch.setattr(files, "sync_dirs", lambda folders: None)
    assert next(lost_after(tmp_path))
