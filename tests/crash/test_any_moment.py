"""A signal kills or ends the server side at random moments: between acts, in a wait, while it starts."""

import random
import time

import pytest

from crash.scenes import QUICK, Counted, Run, Scene
from teal.ground.errors import CannotReach, ContactLost, HostFailed

ROUNDS, SEED = 25, 20_240_229
ASKED_TO_END = ["SIGTERM", "SIGHUP"] * 5
STEPS = [
    ("run nginx -v+0", False),
    ("make directory part1+0", False),
    ("rename 0*.json+0", False),  # all bytes have arrived, but the client has not committed
    ("append journal+0", True),
    ("spawn program+0", True),
    ("turn link live+0", True),
    ("turn link live+1", True),
]


@pytest.fixture
def tree(scene: Scene) -> Scene:
    """v2 is live and v1 is the standby; each is a directory of files, and is watched for a while."""
    scene.ship_a_tree(12, keep={**QUICK["keep"], "watch_s": 0.2})
    scene.deploy_new()
    scene.deploy_new()
    return scene


class Moments:
    """Random moments within the time that a whole deploy takes here, and a bit more.

    Each undisturbed deploy is timed anew, because other load of the machine comes and goes.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._draw = random.Random(SEED)
        self.deploy_whole()

    def deploy_whole(self) -> str:
        """Deploys a new version, undisturbed, and returns it."""
        began = time.monotonic()
        version = self._scene.deploy_new()
        self._whole_s = time.monotonic() - began
        return version

    def next(self) -> str:
        return f"after {self._draw.uniform(0, 1.1 * self._whole_s):.4f}"


@pytest.mark.timeout(900)
@pytest.mark.row("A1")
def test_deploy_killed_at_any_moment_leaves_one_release_serving_and_the_next_command_works(
    tree: Scene, counted: Counted
) -> None:
    went_live, moments = [], Moments(tree)
    for _ in range(ROUNDS):
        old, new = tree.app.get()["version"], tree.new_version()
        run = tree.deploy(moments.next())
        serves = tree.check_serves(old, new)
        if run.was_ended:
            went_live.append(serves == new)
        else:
            assert (run.error, serves) == (None, new), "it had ended before"
        assert not isinstance(run.error, CannotReach) or serves == old
        tree.check_settled(moments.deploy_whole())
    counted(killed=len(went_live), had_gone_live=sum(went_live))
    assert len(set(went_live)) == 2, "all rounds ended alike: the moments are not spread over a deploy"


@pytest.mark.timeout(900)
@pytest.mark.row("A5")
def test_deploy_told_to_end_at_any_moment_is_aborted_or_finished(tree: Scene) -> None:
    moments = Moments(tree)
    for number in ASKED_TO_END:
        old, new = tree.app.get()["version"], tree.new_version()
        run = tree.deploy(moments.next(), number)
        check_aborted(tree, run, old) if run.error else tree.check_settled(new)
        tree.check_settled(moments.deploy_whole())


@pytest.mark.row("A5")
@pytest.mark.parametrize(("at", "lives"), STEPS)
def test_deploy_told_to_end_aborts_before_the_commit_and_finishes_after_it(tree: Scene, at: str, lives: bool) -> None:
    new = tree.new_version()
    run = tree.deploy(at, "SIGTERM")
    assert run.was_ended
    if lives:
        assert run.error is None
        tree.check_settled(new)
    else:
        check_aborted(tree, run, "v2")
    tree.check_settled(tree.deploy_new())


@pytest.mark.row("A5")
def test_lost_terminal_and_ctrl_c_end_a_deploy_at_no_step(tree: Scene) -> None:
    for at, _ in STEPS:
        new = tree.new_version()
        run = tree.deploy(at, "SIGHUP,SIGINT")
        assert (run.was_ended, run.error) == (True, None), at
        tree.check_serves(new)
    tree.check_settled(new)


@pytest.mark.row("A5")
def test_rollback_told_to_end_is_finished(two: Scene) -> None:
    """A rollback waits for no commit, so it continues after its first act."""
    for at, target in (("append journal+0", 1), ("turn link live+0", 2), ("turn link live+1", 1)):
        run = two.rollback(at, "SIGTERM,SIGHUP,SIGINT", to=str(target))
        assert (run.was_ended, run.error) == (True, None), at
        two.check_settled(f"v{target}")


def check_aborted(scene: Scene, run: Run, old: str) -> None:
    """Checks that the client reports that nothing changed, and that this is true."""
    assert isinstance(run.error, HostFailed | CannotReach)
    assert not isinstance(run.error, ContactLost)
    assert run.exit_code == 4
    scene.check_serves(old)
