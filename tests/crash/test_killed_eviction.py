"""The server side of a `teal deploy --evict` is killed, or fails, while it ends everything of the app."""

import pytest

from crash.scenes import NEVER, Counted, Run, Scene

BEGIN = "append journal"
STEP = 2  # a round takes three seconds


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["SIGKILL", "EIO"])
@pytest.mark.row("S4")
def test_interrupted_eviction_is_ended_by_the_next_command_and_nothing_goes_back(
    two: Scene, how: str, counted: Counted
) -> None:
    number = 1 if how == "SIGKILL" else 2  # there each fsync is an act, first that of the journal
    while is_in_the_eviction(run := evict(two, number, how)):
        if run.error and how == "EIO":
            assert "everything of the app was being ended" in run.error.message
        back = two.rollback(NEVER)
        assert back.error
        assert "no way back any more" in back.error.message or "no earlier release" in back.error.message
        assert two.status().live is None
        assert {row.outcome for row in two.releases()} <= {"superseded", "refused"}
        assert two.serves_nothing()
        two.check_settled(two.deploy_new())
        number += STEP
    counted(acts=number)
    assert number >= 7


def evict(two: Scene, number: int, how: str) -> Run:
    two.new_version()
    return two.deploy(f"{BEGIN}+{number}", how, evict=True)


def is_in_the_eviction(run: Run) -> bool:
    begun = [act for act in run.acts if act == BEGIN]
    return run.was_ended and len(begun) == 1
