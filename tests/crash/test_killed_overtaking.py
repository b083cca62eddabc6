"""A rollback overtakes a deploy, and one of the two commands is killed at an act of overtaking."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from crash.scenes import QUICK, Counted, Run, Scene
from harness.background import in_background
from harness.world import wait_until

AN_HOUR = {**QUICK["keep"], "watch_s": 3600}
WAITS = {"waits_for": "/nowhere"}


@contextmanager
def deploying(scene: Scene, when: str, **behaviour: Any) -> Iterator[list[Run]]:
    """A deploy whose server side is killed at an act. After the block, the list has the end of the deploy."""
    runs: list[Run] = []
    scene.app.config(**{**QUICK, "keep": AN_HOUR, "health": {"successes": 1, "deadline_s": 3600}})
    scene.new_version(**behaviour)
    beside = threading.Thread(target=lambda: runs.append(scene.deploy(when)))
    beside.start()
    yield runs
    beside.join(120)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("behaviour", "last", "acts"),
    [(WAITS, '"start"', ("spawn program", 2, 3)), ({}, '"switched"', ("turn link live", 2, 2))],
    ids=["health", "watch"],
)
@pytest.mark.row("G6")
def test_deploy_killed_while_it_gives_way_leaves_the_rollback_its_way(
    two: Scene, counted: Counted, behaviour: dict[str, Any], last: str, acts: tuple[str, int, int]
) -> None:
    """`acts`: the K-th act after the first act of this name, and every third or so from there on."""
    name, past, every = acts
    killed, live = 0, "v2"
    while True:
        two.app.config(**QUICK)
        before, live = live, two.deploy_new()
        with deploying(two, f"{name}+{past + killed}", **behaviour) as runs:
            wait_until(lambda: f'"event": {last}' in two.app.state.joinpath("journal").read_text().splitlines()[-1])
            two.app.teal("rollback", "--json").ok()
        (run,) = runs
        live = live if "switched" in last else before
        two.check_settled(live)
        if not run.was_ended:
            assert run.exit_code == (7 if "switched" in last else 8)
            break
        killed += every
    counted(acts=killed // every)
    assert killed >= 2  # a deploy that gives way in its watch leaves almost all to the rollback


@pytest.mark.parametrize("when", ["signal SIGURG+0", "signal SIGURG+1", "turn link live+0"])
def test_rollback_killed_while_it_overtakes_leaves_a_release_serving_and_the_next_command_works(
    two: Scene, when: str
) -> None:
    two.app.config(**{**QUICK, "keep": AN_HOUR})
    two.new_version()
    with in_background(two.app, "deploy", "--json") as running:
        running.wait_for(type="step", name="watch", state="started")
        assert two.rollback(when).was_ended
        two.check_serves("v3")
        two.app.teal("rollback", "--json").ok()
        assert running.ended().code == 7
    two.check_settled("v2")
