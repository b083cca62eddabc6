"""The server side is killed before each durable act of a deploy."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from crash.scenes import NEVER, Counted, Run, Scene, at_each_act
from teal.ground.errors import CannotReach, ContactLost, HostFailed


@dataclass(frozen=True)
class Killed:
    """The state after a killed deploy: the two releases before it, the one it deployed, and the one that serves now."""

    before: str
    old: str
    new: str
    served: str


def deploy_another(scene: Scene, killed: Killed) -> str:
    version = scene.new_version()
    run = scene.deploy(NEVER)
    assert (run.error, run.outcome) == (None, "live")
    return version


def deploy_the_same(scene: Scene, killed: Killed) -> str:
    run = scene.deploy(NEVER)
    assert (run.error, run.outcome) in ((None, "live"), (None, "unchanged"))
    return killed.new


EVERY = 1 if os.environ.get("TEAL_EVERY_ACT") else 3  # other next commands follow only every third kill


def roll_back(scene: Scene, killed: Killed) -> str:
    run = scene.rollback(NEVER)
    assert (run.error, run.outcome) == (None, "live")
    return killed.old if killed.served == killed.new else killed.before


@pytest.mark.timeout(900)
@pytest.mark.parametrize("next_command", [deploy_another, deploy_the_same, roll_back], ids=lambda f: f.__name__)
@pytest.mark.row("A1", "A3")
def test_deploy_killed_at_any_act_leaves_one_release_serving_and_the_next_command_works(
    two: Scene, next_command: Callable[[Scene, Killed], str], counted: Counted
) -> None:
    history = ["v1", "v2"]

    def killed(when: str) -> Run:
        before, old = history[-2:]
        new = two.new_version()
        run = two.deploy(when)
        served = two.check_serves(old, new)
        check_the_client_told_the_truth(run, served == new)
        serves = next_command(two, Killed(before, old, new, served))
        two.check_settled(serves)
        history.append(serves)
        if next_command is roll_back:
            history.append(two.deploy_new())
        return run

    two.app.get("/write")
    at_each_act(killed, counted, at_least=25, every=1 if next_command is deploy_another else EVERY)
    assert two.app.get("/kept") == {"kept": ["v2"]}


def check_the_client_told_the_truth(run: Run, went_live: bool) -> None:
    if run.was_ended:
        assert isinstance(run.error, ContactLost if went_live else CannotReach | ContactLost)
    else:
        assert run.error is None
        assert went_live


@pytest.mark.timeout(900)
def test_first_deploy_killed_at_any_act_serves_nothing_or_the_release(scene: Scene, counted: Counted) -> None:
    def killed(when: str) -> Run:
        first = scene.new_version()
        run = scene.deploy(when)
        if scene.status().live:
            scene.check_serves(first)
        else:
            assert scene.serves_nothing() or scene.app.get()["version"] == first
        scene.check_settled(scene.deploy_new())
        assert scene.destroy(NEVER).error is None
        scene.check_gone()
        return run

    at_each_act(killed, counted, at_least=45, every=EVERY)


@pytest.mark.timeout(900)
def test_deploy_of_a_bad_release_killed_at_any_act_leaves_the_old_one_serving(two: Scene, counted: Counted) -> None:
    live = ["v2"]

    def killed(when: str) -> Run:
        two.new_version(exits=1)
        run = two.deploy(when)
        two.check_serves(live[0])
        if not run.was_ended:
            assert isinstance(run.error, HostFailed)
            assert run.exit_code == 6
        live[0] = two.deploy_new()
        two.check_settled(live[0])
        return run

    at_each_act(killed, counted, at_least=20, every=min(EVERY, 2))
