"""The disk refuses the n-th act, or every act from the n-th on, for n = 1, 2, … until a round is not hit.

Then the old or the new release serves and runs. With a healthy disk, the next command works.
"""

import copy
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from power.stories import FakeNginx, Machine
from teal_host.ground import files, trees
from teal_host.ground.errors import HostError
from teal_host.state.slots import read_slots
from teal_host.steps import switch
from teal_host.stories.status import list_releases

Story = Callable[[Machine], object]


@dataclass
class Fault:
    """A failing disk. With `once`, only the n-th act fails. With `late`, the act is done, and then its fsync fails."""

    number: int
    once: bool
    late: bool
    code: int
    count: int = 0

    @property
    def reached(self) -> bool:
        return self.count >= self.number

    @contextmanager
    def injected(self) -> Iterator[None]:
        fsync = os.fsync

        def refuse() -> None:
            self.count += 1
            if self.count == self.number or (self.reached and not self.once):
                raise OSError(self.code, os.strerror(self.code))

        def failing(descriptor: int) -> None:
            fsync(descriptor)
            refuse()

        with pytest.MonkeyPatch.context() as patch:
            if self.late:
                patch.setattr(os, "fsync", failing)
            else:
                patch.setattr(files, "witness", lambda act: refuse())
            yield


def deploy_third(machine: Machine) -> None:
    machine.deploy("v3")


def roll_back(machine: Machine) -> None:
    machine.rollback()


def recover_and_deploy(machine: Machine) -> None:
    """Deploys after a killed deploy of v3, which the deploy first recovers."""
    machine.deploy("v4")


STORIES: dict[str, tuple[Story, set[str], int]] = {
    "deploy": (deploy_third, {"v2", "v3"}, 20),
    "rollback": (roll_back, {"v2", "v1"}, 8),
    "recovery": (recover_and_deploy, {"v2", "v3", "v4"}, 20),
}
FAULTS = [
    (True, False, errno.ENOSPC),
    (False, False, errno.ENOSPC),
    (True, True, errno.EIO),
    (False, False, errno.EROFS),
]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A directory, in memory if possible."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as made:
        yield Path(made)
        for path in Path(made).glob("*"):
            trees.remove(path)


@pytest.mark.row("A13", "F1", "F2")
@pytest.mark.parametrize("kind", FAULTS, ids=["full once", "full", "broken", "read-only"])
@pytest.mark.parametrize("name", STORIES)
def test_disk_that_refuses_any_act_leaves_one_release_serving(
    home: Path, name: str, kind: tuple[bool, bool, int], counted: Callable[..., None]
) -> None:
    (once, late, code), (story, allowed, at_least) = kind, STORIES[name]
    first, number, went_on = _machine(home / "first", name == "recovery"), 0, 0
    while True:
        number += 1
        shutil.copytree(first.root, home / str(number), symlinks=True)
        machine = Machine(home / str(number), copy.deepcopy(first.processes), copy.deepcopy(first.nginx))
        fault = Fault(number, once, late, code)
        with machine.played():
            with fault.injected():
                try:
                    story(machine)
                    went_on += fault.reached
                except (HostError, OSError):
                    pass
            if not fault.reached:
                break
            _check(machine, allowed, f"act {number}")
    counted(acts_failed=number - 1, went_on_all_the_same=went_on)
    assert number > at_least


def _machine(root: Path, interrupted: bool) -> Machine:
    root.mkdir()
    machine = Machine(root)
    with machine.played():
        for version in ("v0", "v1", "v2"):
            machine.deploy(version)
        if interrupted:
            _kill_after_the_switch(machine)
    return machine


def _kill_after_the_switch(machine: Machine) -> None:
    def killed(act: str) -> None:
        if act == "turn link live":
            machine.processes.running["killed"] = act
        elif "killed" in machine.processes.running:
            del machine.processes.running["killed"]
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files, "witness", killed)
        machine.deploy("v3")


def _check(machine: Machine, allowed: set[str], where: str) -> None:
    live = read_slots(machine.app.paths).live
    assert machine.live_version() in allowed, where
    assert live is not None, where
    assert machine.processes.running.get(live) == read_slots(machine.app.paths).live_release, (
        f"{where}: it does not run"
    )
    assert machine.status().live == live, where
    assert machine.deploy("next").outcome == "live", where
    assert machine.live_version() == "next", where
    assert all(row.outcome != "pending" for row in list_releases(machine.app).releases), where
    assert [path for path in machine.root.rglob(".*") if path.name != ".lock"] == [], where
    machine.rollback()
    assert machine.live_version() in allowed, where


@pytest.mark.parametrize("code", [errno.EROFS, errno.EPERM, errno.ELOOP, errno.EIO], ids=errno.errorcode.get)
def test_switch_stays_when_the_log_of_what_the_standby_answered_cannot_be_emptied(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(log: Path) -> None:
        raise OSError(code, os.strerror(code), str(log))

    machine = Machine(tmp_path)
    monkeypatch.setattr(files, "empty", refuse)
    with machine.played():
        assert [machine.deploy("v1").outcome, machine.deploy("v2").outcome] == ["live", "live"]
    assert machine.live_version() == "v2"


def test_every_turn_of_the_live_link_empties_the_log_of_what_the_standby_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a rollback by the watch, by a switch that fails, and by recovery."""
    machine, log = Machine(tmp_path / "root"), tmp_path / "fallback.log"
    monkeypatch.setattr(FakeNginx, "fallback_log_of", lambda nginx, app: log)
    with machine.played():
        machine.deploy("v1")
        machine.deploy("v2")
        log.write_text("1700000000.000 200\n")
        switch.restore(machine.app, "blue", None)
    assert (machine.live_version(), log.stat().st_size) == ("v1", 0)
