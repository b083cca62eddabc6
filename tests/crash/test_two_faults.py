"""A second fault after a first: a damaged file or a killed command, and then another."""

import pytest

from crash.scenes import NEVER, QUICK, Scene
from harness.world import free_ports

UNPROVED = {**QUICK, "verify": {"json": {"version": "another"}}}


def damage_record(scene: Scene, version: int) -> None:
    next((scene.app.state / "records").glob(f"{version:04d}-*.json")).write_text("damaged")


def test_live_release_with_a_damaged_record_is_rolled_back_to(two: Scene) -> None:
    damage_record(two, 2)
    two.app.config(**UNPROVED)
    two.new_version()
    run = two.deploy(NEVER)
    assert run.exit_code == 7
    assert run.error is not None
    assert "rolled back: 0002-" in run.error.message
    assert two.check_serves("v2") == "v2"


def test_previous_release_with_a_damaged_record_is_stopped_when_not_to_run_on(two: Scene) -> None:
    damage_record(two, 2)
    two.app.config(**{**QUICK, "keep": {**QUICK["keep"], "previous_running": False}})
    two.deploy_new()
    assert two.status().colors["green"].state == "stopped"


def test_rollback_restores_the_http_port_when_the_new_release_had_another(two: Scene) -> None:
    moved = {"server": {"http_port": free_ports(1)[0]}, "keep": {**QUICK["keep"], "watch_s": 600}}
    two.app.config(**{**QUICK, **moved})
    two.new_version(health_sequence=[200, 200, 500])
    assert two.deploy(NEVER).exit_code == 7
    two.check_settled("v2")


def test_deploy_is_not_unchanged_when_nginx_asks_the_other_color(two: Scene) -> None:
    (two.app.state / "green/green").unlink()
    assert two.app.get()["version"] == "v1", "without its marker nginx asks the other color"
    assert two.app.deploy().ok().result["outcome"] == "live"
    two.check_settled("v2")


# the record of the release, before and after the rename
@pytest.mark.parametrize("at", ["turn link live+4", "turn link live+6"])
def test_live_release_is_good_when_its_record_could_not_be_written(two: Scene, at: str) -> None:
    version = two.new_version()
    run = two.deploy(at, "ENOSPC")
    assert (run.was_ended, run.error) == (True, None)
    assert two.app.deploy().ok().result["outcome"] == "unchanged"
    two.check_settled(version)


def test_candidate_is_stopped_when_its_start_could_not_be_written_down(two: Scene) -> None:
    two.new_version()
    run = two.deploy("write process.json+0", "ENOSPC")
    assert (run.was_ended, run.exit_code) == (True, 1)
    two.check_settled("v2")


def test_rolled_back_release_is_stopped_when_the_journal_cannot_say_so(two: Scene) -> None:
    two.app.config(**UNPROVED)
    two.new_version()
    run = two.deploy("prepare link live+6", "ENOSPC")  # the journal line about the rollback
    assert (run.was_ended, run.exit_code) == (True, 7)
    two.check_settled("v2")


@pytest.mark.parametrize("at", ["turn link live+3", "turn link live+4"])
def test_previous_release_not_to_run_on_is_stopped_after_a_killed_deploy(scene: Scene, at: str) -> None:
    scene.app.config(**{**QUICK, "keep": {**QUICK["keep"], "previous_running": False}})
    scene.deploy_new()
    version = scene.new_version()
    assert scene.deploy(at).was_ended
    assert scene.app.deploy().ok().result["outcome"] == "unchanged"
    scene.check_settled(version)
    assert scene.status().colors["blue"].state == "stopped"


def test_rollback_killed_before_its_switch_is_reported_as_refused(two: Scene) -> None:
    assert two.rollback(NEVER).error is None
    target = two.releases()[0].release
    assert two.rollback("append journal+1", to=target).was_ended
    assert two.deploy("append journal+1").was_ended  # this deploy first recovered the killed command
    last = two.status().last
    assert last is not None
    assert (last.command, last.outcome) == ("rollback", "refused")


# before the line in the journal, and before the record
@pytest.mark.parametrize("at", ["turn link live+4", "turn link live+5"])
def test_rollback_in_the_watch_that_was_killed_is_reported_as_rolled_back(two: Scene, at: str) -> None:
    two.app.config(**{**QUICK, "keep": {**QUICK["keep"], "watch_s": 600}})
    two.new_version(health_sequence=[200, 200, 500])
    assert two.deploy(at).was_ended
    two.check_serves("v2")
    assert two.deploy("append journal+1").was_ended  # this deploy first recovered the killed command
    last = two.status().last
    assert last is not None
    assert (last.outcome, two.releases()[0].outcome) == ("rolled_back", "rolled_back")
    assert "was rolled back" in last.message


def test_deploys_that_are_refused_again_and_again_do_not_fill_the_disk(two: Scene) -> None:
    for _ in range(3):
        two.new_version(exits=1)
        assert two.deploy(NEVER).exit_code == 6
    stored = sorted(row.release[:4] for row in two.releases() if row.stored)
    assert stored == ["0001", "0002", "0005"], "what is good, and the last one, whose log is still told"
    two.check_settled("v2")


def test_foreign_entries_among_the_releases_do_not_hinder_a_deploy(two: Scene) -> None:
    live = two.status().colors["green"].release
    (two.app.state / "releases/current").symlink_to(str(live))
    (two.app.state / "releases/notes").write_text("mine")
    two.check_settled(two.deploy_new())


def test_destroy_removes_foreign_links_and_nothing_behind_them(two: Scene) -> None:
    data, moved = two.app.world.root / "var/lib" / two.app.name, two.app.world.home / "moved"
    data.rename(moved)
    data.symlink_to(moved)
    (moved / "kept").write_text("mine")
    (two.app.state / "live").unlink()
    (two.app.state / "live").mkdir()
    assert two.destroy(NEVER).error is None
    two.check_gone()
    assert (moved / "kept").read_text() == "mine"
