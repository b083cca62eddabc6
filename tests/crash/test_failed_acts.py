"""On a full or broken disk, each act on a file and each fsync of a command fails, once or from then on.

The old or the new release serves, what Teal reports is true, and the next command works.
"""

import os
import signal
from collections.abc import Callable

import pytest

from crash.scenes import NEVER, Counted, Run, Scene
from teal.ground.errors import HostFailed

FULL, BROKEN = "ENOSPC+", "EIO"
DISK_SAYS = ("No space left on device", "Input/output error")
STEP = 1 if os.environ.get("TEAL_EVERY_ACT") else 5  # a round takes two seconds


def at_each_act(round_: Callable[[str], Run], at_least: int) -> int:
    """Lets act 1, 2, 3 … (or 1, 6, 11 …) fail, until a round is not hit. Returns the number of hits."""
    number = 1
    while round_(f"act {number}").was_ended:
        number += STEP
    assert number > at_least
    return (number - 1) // STEP


def check_told(scene: Scene, run: Run, old: str, new: str) -> None:
    """Checks that the client reports the release that serves."""
    serves = scene.check_serves(old, new)
    if run.error is None:
        assert serves == new
        return
    assert isinstance(run.error, HostFailed), run.error
    assert run.exit_code in (1, 6, 7, 10), run.error
    assert any(word in run.error.message for word in DISK_SAYS), run.error.message
    if run.exit_code != 10:
        assert serves == old, (run.exit_code, run.error.message, run.acts[-3:])


@pytest.mark.row("A13", "F1", "F2")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", [FULL, BROKEN])
def test_deploy_whose_acts_fail_leaves_old_or_new_and_says_which(two: Scene, how: str, counted: Counted) -> None:
    def failed(when: str) -> Run:
        old, new = two.app.get()["version"], two.new_version()
        run = two.deploy(when, how)
        check_told(two, run, old, new)
        two.check_settled(two.deploy_new())
        return run

    counted(acts_of_a_deploy=at_each_act(failed, at_least=30))


@pytest.mark.row("A13", "F1", "F2")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", [FULL, BROKEN])
def test_rollback_whose_acts_fail_leaves_old_or_new_and_says_which(two: Scene, how: str, counted: Counted) -> None:
    def failed(when: str) -> Run:
        new = two.app.get()["version"]
        old = two.deploy_new()
        run = two.rollback(when, how)
        check_told(two, run, old, new)
        two.check_settled(two.deploy_new())
        return run

    counted(acts_of_a_rollback=at_each_act(failed, at_least=8))


@pytest.mark.timeout(900)
def test_recovery_whose_acts_fail_is_finished_by_the_next_command(two: Scene, counted: Counted) -> None:
    def failed(when: str) -> Run:
        new = two.new_version()
        assert two.deploy("turn link live+1").was_ended
        two.check_serves(new)
        os.kill(two.app.get()["pid"], signal.SIGKILL)
        run = two.rollback(when, FULL)
        two.check_settled(two.deploy_new())
        return run

    counted(acts_of_a_recovery=at_each_act(failed, at_least=5))
    assert two.deploy(NEVER).error is None
