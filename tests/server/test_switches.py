"""Many switches on a booted server under every kind of client at once: nothing is lost, and nothing is done twice.

The long run of the same is `bench/switches`.
"""

from pathlib import Path

import pytest
from bench.load import backend

from switching import Wanted, switching

SWITCHES = 20


def test_no_switch_loses_or_doubles_a_request(tmp_path: Path) -> None:
    if reason := backend.why_not():
        pytest.skip(reason)
    happened = switching(Wanted(SWITCHES), tmp_path, print)
    seen = happened.seen
    assert seen.verdict.clean, seen
    assert (len(happened.colors), happened.turned, happened.reloaded) == (SWITCHES, True, False)
    assert set(seen.by_color) == {"blue", "green"}
