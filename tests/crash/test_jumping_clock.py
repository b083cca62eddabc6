"""The server's clock jumps during a deploy, like a clock that is set after a boot. No deadline moves with the clock."""

import time

import pytest

from crash.scenes import QUICK, Scene


@pytest.mark.row("D20", "F12")
@pytest.mark.parametrize(
    ("jump", "when"),
    [("+1h", "append journal+0"), ("-1h", "turn link live+0")],
    ids=["forward before the drain", "back before the watch"],
)
def test_deploy_keeps_its_deadlines_and_goes_live_when_the_clock_jumps(two: Scene, jump: str, when: str) -> None:
    two.app.config(**{**QUICK, "keep": {"watch_s": 0.6, "drain_s": 1, "releases": 2}})
    version, began = two.new_version(), time.monotonic()
    run = two.deploy(when, jump)
    assert run.was_ended, "it jumped"
    assert run.error is None, run.error
    assert 0.6 <= time.monotonic() - began < 600
    two.check_settled(version)
    version = two.deploy_new()
    two.check_settled(version)
