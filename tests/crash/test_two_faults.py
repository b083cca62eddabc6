"""One fault is there already, a damaged file or a command that was killed, and then comes another one."""

from crash.scenes import NEVER, QUICK, Scene

UNPROVED = {**QUICK, "verify": {"json": {"version": "another"}}}


def damage_record(scene: Scene, version: int) -> None:
    next((scene.app.state / "records").glob(f"{version:04d}-*.json")).write_text("damaged")


def test_what_is_live_with_a_damaged_record_is_turned_back_to(two: Scene) -> None:
    damage_record(two, 2)
    two.app.config(**UNPROVED)
    two.new_version()
    run = two.deploy(NEVER)
    assert run.exit_code == 7
    assert run.error is not None
    assert "turned back: 0002-" in run.error.message
    assert two.check_serves("v2") == "v2"


def test_what_was_live_with_a_damaged_record_is_stopped_where_it_is_not_to_run_on(two: Scene) -> None:
    damage_record(two, 2)
    two.app.config(**{**QUICK, "keep": {**QUICK["keep"], "previous_running": False}})
    two.deploy_new()
    assert two.status().colors["green"].state == "stopped"
