"""After a power cut at any act: the old release or the new one, never half of one; the next deploy works.

Once the answer is sent, the new release serves, and everything in the answer stays true.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from power.disk import Cut, Disk, cuts, lay_out, wipe
from power.recorder import Recorder
from power.stories import Machine
from teal_host.stories.status import list_releases
from teal_host.wire.messages import Result

Story = Callable[[Machine], Result]
ANSWER = "the answer"  # the last act: Teal never takes back what it reports then


@dataclass
class Play:
    """Plays a story once. After each act, lays out and recovers every disk that a cut could leave."""

    home: Path
    allowed: set[str | None]
    states: set[tuple[str, ...]] = field(default_factory=set)
    acts: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    checking: bool = False
    answered: object = None

    def run(self, before: list[str], story: Story) -> None:
        disk = Disk(self.home / "host")
        disk.root.mkdir(parents=True)
        machine = Machine(disk.root)
        with machine.played(), Recorder(disk, lambda act: self._after(disk, act)).listening():
            for version in before:
                machine.deploy(version)
            for folder in disk.folders():
                folder.synced()
            self.checking = True
            story(machine)
            self.allowed, self.answered = {machine.live_version()}, seen(machine)
            self._after(disk, ANSWER)

    def _after(self, disk: Disk, act: str) -> None:
        if self.checking:
            self.acts.append(act)
            for cut in cuts():
                self._try(disk, cut, act)

    def _try(self, disk: Disk, cut: Cut, act: str) -> None:
        target = self.home / "after"
        layout = lay_out(disk, cut, target)
        try:
            state = (layout, *sorted(map(str, self.allowed)))
            if state not in self.states:
                self.states.add(state)
                self._recovered(target)
        except Exception as error:
            self.failures.append(f"after {act}, {cut}: {type(error).__name__}: {error}\n{layout}")
        finally:
            wipe(target)

    def _recovered(self, root: Path) -> None:
        woken = Machine(root)
        live = woken.live_version()
        assert live in self.allowed, f"live is {live!r}"
        assert (woken.status().live is None) == (live is None)
        assert self.answered in (None, seen(woken))
        with woken.played():
            assert woken.deploy("next").outcome == "live"
        assert woken.live_version() == "next"
        assert [path for path in root.rglob(".*") if path.name != ".lock"] == []
        assert all(row.outcome != "pending" for row in list_releases(woken.app).releases)


def seen(machine: Machine) -> object:
    """What a user sees, except processes."""
    report = machine.status()
    return report.live, report.previous, report.last, list_releases(machine.app).releases


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A directory, in memory if possible, because the test makes and removes thousands of small trees."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as made:
        yield Path(made)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("before", "story", "allowed"),
    [
        pytest.param([], lambda machine: machine.deploy("one"), {None, "one"}, id="first deploy"),
        pytest.param(["one"], lambda machine: machine.deploy("two"), {"one", "two"}, id="deploy"),
        pytest.param(["one", "two", "three"], lambda machine: machine.deploy("four"), {"three", "four"}, id="prune"),
        pytest.param(["one", "two"], lambda machine: machine.rollback(), {"two", "one"}, id="rollback"),
    ],
)
@pytest.mark.row("A6", "A7", "A8")
def test_disk_is_recovered_after_a_power_cut_at_any_act(
    before: list[str],
    story: Story,
    allowed: set[str | None],
    home: Path,
    counted: Callable[..., None],
) -> None:
    play = Play(home, allowed)
    play.run(before, story)
    counted(acts=len(play.acts), different_disks=len(play.states))
    assert len(play.acts) >= 10
    assert len(play.states) >= len(play.acts) // 2
    assert play.failures == [], f"{len(play.failures)} of {len(play.states)}:\n" + "\n\n".join(play.failures[:3])
