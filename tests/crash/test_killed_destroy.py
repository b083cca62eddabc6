"""The server side is killed before each act of a destroy, and before each single removal in it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from crash.scenes import NEVER, Counted, Run, Scene, at_each_act

ALL = bool(os.environ.get("TEAL_EVERY_ACT"))


def destroy_again(scene: Scene) -> None:
    """A destroy after a destroy.

    After a kill at the very end nothing is left to destroy, and empty directories may stay.
    """
    code = scene.destroy(NEVER).exit_code
    assert code in (0, 2)
    if code == 2:
        remove_empty_folders(scene.app.world.root)


def remove_empty_folders(top: Path) -> None:
    for folder, _, _ in os.walk(top, topdown=False):
        Path(folder).rmdir()


def deploy_after_all(scene: Scene) -> None:
    scene.check_settled(scene.deploy_new(), standby_ended=True)
    assert scene.destroy(NEVER).error is None


@pytest.mark.timeout(900)
@pytest.mark.parametrize("next_command", [destroy_again, deploy_after_all], ids=lambda f: f.__name__)
def test_destroy_killed_at_any_act_is_finished_or_undone_by_the_next_command(
    scene: Scene, next_command: Callable[[Scene], None], counted: Counted
) -> None:
    def killed(when: str) -> Run:
        scene.deploy_new()
        if next_command is destroy_again:  # this round is quick, so it can use both colors
            scene.deploy_new()
        run = scene.destroy(when)
        if run.was_ended:
            next_command(scene)
        scene.check_gone()
        return run

    at_each_act(killed, counted, at_least=30, every=1 if ALL else 4 if next_command is destroy_again else 8)
