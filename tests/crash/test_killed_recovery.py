"""A deploy is killed, and then the next command is killed before each act of its recovery."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crash.scenes import NEVER, Counted, Run, Scene, at_each_act
from teal_host.ground.journal import Journal


def recovered(scene: Scene) -> int:
    lines = Journal(scene.app.state / "journal").lines()
    return sum(line.get("by") == "recovery" for line in lines)


def killed_while_recovering(scene: Scene, first: Callable[[], list[str]]) -> Callable[[str], Run]:
    """One round: the first command is killed, then the second at `when`, then a third must work.

    `first` returns the versions that may serve from then on, or none if the live program was killed, too.
    """

    def killed(when: str) -> Run:
        serving = first()
        before = recovered(scene)
        newest = scene.new_version()
        run = scene.deploy(when)
        if serving:
            scene.check_serves(*serving, newest)
        is_over = recovered(scene) > before
        scene.check_settled(scene.deploy_new())
        return replace(run, acts=run.acts[:-1], was_ended=False) if is_over else run

    return killed


AT = ["spawn program+0", "spawn program+1", "turn link live+0", "turn link live+1", "turn link live+3"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("at", AT)
def test_recovery_of_a_deploy_killed_at_any_act_is_finished_by_the_next_command(
    two: Scene, at: str, counted: Counted
) -> None:
    def first() -> list[str]:
        old = two.app.get()["version"]
        new = two.new_version()
        assert two.deploy(at).was_ended
        return [two.check_serves(old, new)]

    at_each_act(killed_while_recovering(two, first), counted, at_least=2)


@pytest.mark.timeout(900)
def test_rollback_by_a_recovery_killed_at_any_act_is_finished_by_the_next_command(two: Scene, counted: Counted) -> None:
    def first() -> list[str]:
        new = two.new_version()
        assert two.deploy("turn link live+1").was_ended
        two.check_serves(new)
        os.kill(two.app.get()["pid"], signal.SIGKILL)
        return []

    names = at_each_act(killed_while_recovering(two, first), counted, at_least=5)
    assert "turn link live" in names


def test_release_that_died_after_a_killed_switch_is_rolled_back_by_the_next_command(two: Scene) -> None:
    two.new_version()
    assert two.deploy("turn link live+1").was_ended
    two.check_serves("v3")
    os.kill(two.app.get()["pid"], signal.SIGKILL)
    two.app.program(version="v2")
    assert two.app.deploy().ok().result["outcome"] == "unchanged"  # the recovery has rolled back to v2
    two.check_settled("v2")
    assert two.releases()[0].outcome == "rolled_back"
    assert two.rollback(NEVER).error is None
    two.check_settled("v1")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("at", ["turn link live+1", "turn link live+2", "turn link live+3"])
def test_release_that_was_switched_to_but_never_verified_does_not_stay_live(two: Scene, at: str) -> None:
    two.new_version(root_500=True)  # passes its health check, but fails `verify` through nginx
    assert two.deploy(at).was_ended
    two.app.program(version="v2")
    assert two.app.deploy().ok().result["outcome"] == "unchanged"
    two.check_settled("v2")
    assert two.releases()[0].outcome in ("rolled_back", "refused")
    assert two.rollback(NEVER).error is None
    two.check_settled("v1")


@pytest.mark.row("A1", "G6")
@pytest.mark.parametrize("behaviour", [{}, {"root_500": True}], ids=["well", "fails its visitors"])
def test_rollback_goes_one_release_back_from_a_release_whose_switch_was_killed(
    two: Scene, behaviour: dict[str, Any]
) -> None:
    """It goes where the status has said, and no recovery goes back first."""
    two.new_version(**behaviour)
    assert two.deploy("turn link live+1").was_ended
    assert two.status().previous == two.releases()[1].release
    assert two.rollback(NEVER).error is None
    two.check_settled("v2")
    assert two.releases()[0].outcome == "superseded"


@pytest.mark.row("A3")
def test_release_half_removed_by_a_killed_pruning_can_be_deployed_again(two: Scene) -> None:
    two.new_version()
    run = two.deploy("os.remove program+1")
    assert run.was_ended
    two.check_serves("v3")
    two.app.program(version="v1")
    two.app.deploy().ok()
    two.check_settled("v1")


def test_refused_release_made_live_by_a_killed_rollback_counts_as_good(two: Scene) -> None:
    two.new_version()
    assert two.deploy("spawn program+0").was_ended
    refused = two.releases()[0].release
    run = two.rollback("turn link live+1", to=refused)
    assert run.was_ended
    two.check_serves("v3")
    version = two.deploy_new()
    two.check_settled(version)
    assert two.status().previous == refused
