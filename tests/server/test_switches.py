"""Many switches on a booted server under every kind of client at once: nothing is lost, and nothing is done twice.

`bench/switches` is the long run of this test.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from bench.load import backend

from harness.switches import SwitchGoal, run_switches

SWITCHES = {12: 12, 13: 6}


@pytest.mark.row("D1", "D2")
def test_switches_lose_and_double_no_request(tmp_path: Path, debian: int, counted: Callable[..., None]) -> None:
    if reason := backend.why_not():
        pytest.skip(reason)
    switch_run = run_switches(SwitchGoal(SWITCHES[debian], debian=debian), tmp_path, print)
    seen, verdict = switch_run.seen, switch_run.seen.verdict
    counted(switches=len(switch_run.colors), requests=verdict.requests, lost=verdict.lost, doubled=verdict.doubled)
    assert verdict.clean, seen
    assert (len(switch_run.colors), switch_run.turned, switch_run.reloaded) == (SWITCHES[debian], True, False)
    assert set(seen.by_color) == {"blue", "green"}
