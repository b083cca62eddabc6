"""Any history of commands, kills, power cuts and boots: the model says what serves, and what Teal reports is true.

The normal run tries a few histories, always the same. `TEAL_EXAMPLES=5000` tries that many, different ones each time.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from power.history import COUNTED, History
from power.host import Programs
from teal_host.ground import files
from teal_host.ground.paths import AppPaths
from teal_host.state import releases
from teal_host.state.releases import Record
from teal_host.steps import idempotency, prune
from teal_host.stories import deploy, recover

LONG = int(os.environ.get("TEAL_EXAMPLES", "0"))
FIXED = settings(
    max_examples=LONG or 30,
    stateful_step_count=25,
    derandomize=not LONG,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SEEN_WITHIN = settings(FIXED, max_examples=200, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)


@pytest.mark.row("A1", "A2", "A6")
@pytest.mark.timeout(0 if LONG else 180)
def test_release_of_the_model_serves_after_any_history(counted: Callable[..., None]) -> None:
    COUNTED.clear()
    run_state_machine_as_test(History, settings=FIXED)
    counted(**{what.replace(" ", "_"): count for what, count in COUNTED.items()})
    assert min(COUNTED["live"], COUNTED["killed"], COUNTED["power cuts"]) > 5


def unlink_and_link_again(link: Path, target: str) -> None:
    """Does what `ln -sfn` does."""
    files.remove(link)
    link.symlink_to(target)
    files.sync_dir(link.parent)


def newest_other(paths: AppPaths, live: str | None) -> Record | None:
    """The newest other release by time, so that two rollbacks go there and back."""
    records = releases.load(paths)
    stored = [entry for entry in records if paths.release(entry.release).is_dir() and entry.release != live]
    return max(stored, key=lambda entry: entry.at, default=None)


def keep_one(records: list[Record], stored: set[str], keep: int, in_use: set[str]) -> prune.PrunePlan:
    return PLAN(records, stored, 1, set())


PLAN = prune.plan
ALWAYS = ["the link is removed and made again", "no directory is synced", "a rollback leads to the newest"]
ALWAYS += ["nobody cleans up", "a command that comes again is done again", "what is live does not come back at boot"]
WRONG: dict[str, tuple[object, str, object]] = {
    "the link is removed and made again": (files, "turn_link", unlink_and_link_again),
    "no directory is synced": (files, "sync_dir", lambda path: None),
    "a rollback leads to the newest": (releases, "previous", newest_other),
    "what is gone back from is not remembered": (releases, "mark_superseded", lambda *ignored: None),
    "the release before is pruned": (prune, "plan", keep_one),
    "nobody watches": (deploy, "watch_and_roll_back", lambda *ignored: None),
    "nobody cleans up": (recover, "recover", lambda app: None),
    "a command that comes again is done again": (idempotency, "recorded_result", lambda app, story: None),
    "what is live does not come back at boot": (Programs, "enable", lambda *ignored: None),
}


@pytest.mark.parametrize("what", WRONG if LONG else ALWAYS)
def test_state_machine_finds_a_teal_that_does_wrong(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shows that the state machine finds a faulty Teal."""
    module, name, wrong = WRONG[what]
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises((AssertionError, OSError)) as failed:
        run_state_machine_as_test(History, settings=SEEN_WITHIN)
    print(f"\n{what}: {failed.value}")
