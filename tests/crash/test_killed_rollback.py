"""The server side is killed before each durable act of a rollback."""

import pytest

from crash.scenes import QUICK, Counted, Run, Scene, at_each_act


@pytest.mark.timeout(900)
@pytest.mark.parametrize("stands_by", [True, False], ids=["to one that runs", "to one that must be started"])
@pytest.mark.row("A2")
def test_rollback_killed_at_any_act_leaves_one_release_serving_and_the_next_command_works(
    scene: Scene, stands_by: bool, counted: Counted
) -> None:
    scene.app.config(**{**QUICK, "keep": {**QUICK["keep"], "previous_running": stands_by}})

    versions = [scene.deploy_new(), scene.deploy_new()]

    def killed(when: str) -> Run:
        previous, live = versions
        run = scene.rollback(when)
        served = scene.check_serves(previous, live)
        if not run.was_ended:
            assert run.result
            assert (run.result.outcome, served) == ("live", previous)
            assert ("spawn program" in run.acts) == (not stands_by)
        versions[:] = [served, scene.deploy_new()]  # the next round rolls back to what serves here
        scene.check_settled(versions[-1])
        return run

    at_each_act(killed, counted, at_least=8 if stands_by else 15)


@pytest.mark.parametrize("at", ["turn link live+1", "turn link live+2", "turn link live+4"])
def test_release_left_by_a_killed_rollback_is_no_rollback_target(two: Scene, at: str) -> None:
    good = two.status().previous
    assert two.rollback(at).was_ended
    two.check_serves("v1")
    two.check_settled(two.deploy_new())
    assert two.status().previous == good


@pytest.mark.timeout(120)
def test_rollback_killed_twice_goes_live_at_the_third_time(two: Scene) -> None:
    for when in ("prepare link live+0", "turn link live+0"):
        assert two.rollback(when).was_ended
        two.check_serves("v2")
    two.app.teal("rollback", "--json").ok()
    two.check_settled("v1")
