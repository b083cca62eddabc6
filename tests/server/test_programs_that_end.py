"""Programs that end under systemd: a live one is restarted, a candidate is refused, a watched one is rolled back."""

import os
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from harness import Server, memory
from harness.background import in_background
from harness.ssh_access import run
from harness.visitors import Site, visitors
from harness.world import PATIENCE_S, status_of, wait_until
from hints.walk import hint_of, type_in
from server.shop import Shop

LONG_S = 600  # a deadline or a watch that must not be waited for
AWAY_S = float(os.environ.get("TEAL_AWAY_S", "0"))  # the live release needs at least this long to start again
BACK_WITHIN_S = 15.0
MORE_THAN_SYSTEMD_ALLOWS = 5  # starts in ten seconds, unless the unit says otherwise

Little = Callable[[Server, list[int], int], AbstractContextManager[None]]


@pytest.fixture
def little() -> Little:
    if reason := memory.why_not():
        pytest.skip(reason)
    return memory.little_memory


def shop_site() -> Site:
    return Site("shop.test", lambda body: b'"version"' in body)


@pytest.mark.row("C18", "E13")
def test_oom_score_spares_the_live_color_and_offers_the_standby_first(shop: Shop) -> None:
    shop.deployed()
    shop.deployed()
    assert (shop.oom_score(shop.live), shop.oom_score(shop.standby)) == (0, 500)
    shop.app.teal("rollback").ok()
    assert (shop.oom_score(shop.live), shop.oom_score(shop.standby)) == (0, 500)
    shop.kill(shop.live)
    wait_until(lambda: shop.pid(shop.live) != 0)
    assert shop.oom_score(shop.live) == 0


@pytest.mark.row("E13")
def test_standby_is_killed_when_memory_runs_out_though_the_live_program_has_more(shop: Shop, little: Little) -> None:
    shop.deployed()
    version = shop.deployed()
    live, standby = shop.pid(shop.live), shop.pid(shop.standby)
    with little(shop.server, [live, standby], 64):
        shop.app.get("/take")
        shop.ask_directly(shop.standby, "/leak")
        wait_until(lambda: shop.pid(shop.standby) != standby)
        shop.check_serves(version)
    assert shop.pid(shop.live) == live


@pytest.mark.row("C18")
def test_watched_release_is_killed_before_the_standby_when_it_uses_up_the_memory(shop: Shop, little: Little) -> None:
    version = shop.serving()
    standby = shop.pid(shop.live)
    shop.config(keep={"watch_s": LONG_S})
    shop.new_version()
    with in_background(shop.app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="watch", state="started")
        with little(shop.server, [shop.pid("blue"), shop.pid("green")], 64):
            shop.ask_directly(shop.live, "/leak")  # through nginx, the standby would be asked the same
            ended = deploying.ended()
    assert (ended.code, ended.result["outcome"]) == (7, "rolled_back")
    assert shop.outcome(ended.result["release"]) == "rolled_back"
    shop.check_settled(version)
    assert shop.pid(shop.live) == standby


def test_watch_rolls_back_onto_a_standby_that_answers_badly_once(shop: Shop) -> None:
    version = shop.deployed(health_sequence=[200, 500, 200])
    standby = shop.pid(shop.live)
    shop.config(keep={"watch_s": LONG_S})
    shop.new_version(health_sequence=[200, 500])
    ended = shop.app.deploy()
    assert (ended.code, ended.result["outcome"]) == (7, "rolled_back")
    shop.check_settled(version)
    assert shop.pid(shop.live) == standby


@pytest.mark.row("C17")
def test_candidate_killed_for_want_of_memory_is_refused_with_that_reason(shop: Shop) -> None:
    version = shop.serving()
    shop.config(health={"deadline_s": LONG_S})
    shop.new_version(never_listens=True)
    with in_background(shop.app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="health", state="started")
        wait_until(lambda: shop.pid(shop.standby) != 0)
        shop.end_for_want_of_memory(shop.standby)
        refused = deploying.ended()
    assert (refused.code, refused.result["outcome"]) == (6, "unhealthy")
    assert "the program is not running: it was ended because memory ran out" in refused.result["error"]["message"]
    shop.check_serves(version)


@pytest.mark.row("C19")
def test_sandbox_that_cannot_be_made_is_reported_in_the_words_of_systemd(shop: Shop) -> None:
    version = shop.serving()
    shop.new_version()
    with shop.drop_in("ReadWritePaths=/srv/gone"):  # like a folder of [sandbox] writable that somebody removed
        refused = shop.app.deploy()
    assert (refused.code, refused.result["outcome"]) == (6, "unhealthy")
    error = refused.result["error"]
    assert error["message"].endswith("does not start: its sandbox could not be made (226/NAMESPACE)")
    assert any("/srv/gone: No such file" in line for line in error["evidence"]), error
    assert "[sandbox] writable" in error["hint"]
    shop.check_serves(version)


@pytest.mark.row("C20")
def test_unwritable_data_is_reported_in_the_words_of_the_program(shop: Shop) -> None:
    version = shop.serving()
    backup = "/var/lib/shop/kept"  # like a backup that root has restored
    run(shop.server, "sh", "-c", f"echo old >{backup}; chmod 600 {backup}; chown root {backup}")
    shop.new_version(writes_first=True)
    refused = shop.app.deploy()
    assert (refused.code, refused.result["outcome"]) == (6, "unhealthy")
    assert f"cannot write its data: [Errno 13] Permission denied: '{backup}'" in refused.result["error"]["evidence"][-1]
    shop.check_serves(version)
    # at the next start systemd gives the app everything below it
    run(shop.server, "chown", "root:root", "/var/lib/shop")
    shop.deployed(writes_first=True)


@pytest.mark.row("E15")
def test_rollbacks_and_a_crash_of_the_standby_lose_no_request(shop: Shop) -> None:
    old, new = shop.deployed(), shop.deployed()
    with visitors(shop.server, [shop_site()], each=4) as seen:
        shop.app.teal("rollback").ok()
        shop.check_serves(old)
        pid = shop.pid(shop.standby)
        shop.kill(shop.standby)
        wait_until(lambda: shop.pid(shop.standby) not in (0, pid))
        seen.wait_for_requests()
        shop.deployed()
        shop.app.teal("rollback").ok()
        shop.check_serves(old)
        seen.wait_for_requests()
    assert seen.tally.lost == 0, seen.tally.failures
    assert new != old


def test_visitors_notice_a_restart_of_the_app_and_a_reload_of_nginx(shop: Shop) -> None:
    """So the visitors can see losses, and the zero above means something."""
    shop.serving()
    for argv in (("restart", f"teal-shop@{shop.live}"), ("reload", "nginx")):
        with visitors(shop.server, [shop_site()], each=8, per_second=50) as seen:
            for _ in range(3):
                run(shop.server, "systemctl", *argv)
                seen.wait_for_requests()
        assert seen.tally.lost > 0, argv


@pytest.mark.row("E4")
def test_live_program_is_back_about_a_second_after_it_was_killed(shop: Shop) -> None:
    version = shop.deployed()
    pid, color = shop.pid(shop.live), shop.live
    began = time.monotonic()
    shop.kill(color)
    wait_until(lambda: shop.answers(version))
    assert time.monotonic() - began > 0.9  # RestartSec is 1
    assert (shop.live, shop.pid(color) != pid) == (color, True)
    shop.check_serves(version)


@pytest.mark.row("C1")
def test_candidate_that_crashes_at_its_start_is_refused_at_once_with_its_exit_code(shop: Shop) -> None:
    version = shop.serving()
    shop.config(health={"deadline_s": LONG_S})
    shop.new_version(exits=41)
    began = time.monotonic()
    refused = shop.app.deploy()
    assert time.monotonic() - began < LONG_S / 2
    assert (refused.code, refused.result["outcome"]) == (6, "unhealthy")
    assert "exited with code 41" in refused.result["error"]["message"]
    _ended_for_good(shop, shop.standby)
    shop.check_serves(version)


WAYS_TO_END = {
    "it exited with code 0": {"exits": 0},
    "it exited with code 1": {"exits": 1},
    "it exited with code 127": {"exits": 127},
    "it was ended by SIGKILL": {"killed": 9},
    "it was ended by SIGSEGV": {"killed": 11},
    "it was ended by SIGSYS": {"killed": 31},
}


@pytest.mark.row("C2", "C4")
def test_good_release_goes_live_after_more_bad_candidates_than_systemd_starts_in_a_minute(shop: Shop) -> None:
    version = shop.serving()
    for ending, behaviour in WAYS_TO_END.items():
        shop.new_version(**behaviour)
        refused = shop.app.deploy()
        assert (refused.code, ending in refused.result["error"]["message"]) == (6, True), refused
    assert len(WAYS_TO_END) > MORE_THAN_SYSTEMD_ALLOWS
    shop.check_serves(version)
    shop.check_settled(shop.deployed())


@pytest.mark.row("C3")
def test_candidate_that_answers_well_and_then_crashes_is_refused_at_once(shop: Shop) -> None:
    version = shop.serving()
    shop.config(health={"successes": 100, "deadline_s": LONG_S})
    shop.new_version(exits_after=0.5)
    began = time.monotonic()
    refused = shop.app.deploy()
    assert time.monotonic() - began < LONG_S / 2
    assert (refused.code, refused.result["outcome"]) == (6, "unhealthy")
    assert "exited with code 3" in refused.result["error"]["message"]
    _ended_for_good(shop, shop.standby)
    shop.check_serves(version)


@pytest.mark.row("C3", "C18")
@pytest.mark.parametrize(("step", "code", "outcome"), [("health", 6, "unhealthy"), ("watch", 7, "rolled_back")])
def test_restart_between_two_probes_is_detected_by_the_health_check_and_the_watch(
    shop: Shop, step: str, code: int, outcome: str
) -> None:
    """The server side is stopped meanwhile, as if the machine were busy, and later finds a program that runs and is
    healthy.
    """
    version = shop.serving()
    shop.config(health={"successes": 100 if step == "health" else 1, "deadline_s": LONG_S}, keep={"watch_s": LONG_S})
    shop.new_version()
    color = shop.standby
    with in_background(shop.app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name=step, state="started")
        wait_until(lambda: shop.pid(color) != 0)
        shop.kill_server_side("STOP")
        pid = shop.pid(color)
        shop.kill(color)
        wait_until(lambda: shop.pid(color) not in (0, pid))
        shop.kill_server_side("CONT")
        ended = deploying.ended()
    assert (ended.code, ended.result["outcome"]) == (code, outcome), ended
    assert "the program ended by itself and was started again (once)" in ended.result["error"]["message"]
    _ended_for_good(shop, color)
    shop.check_serves(version)


@pytest.mark.row("E1", "E2")
def test_watch_rolls_back_onto_the_standby_when_the_release_crashes(shop: Shop) -> None:
    version = shop.serving()
    before = shop.pid(shop.live)
    shop.config(health={"successes": 3}, keep={"watch_s": LONG_S})
    shop.new_version(exits_when_asked=4)
    ended = shop.app.deploy()
    assert (ended.code, ended.result["outcome"]) == (7, "rolled_back")
    assert "exited with code 3" in ended.result["error"]["message"]
    assert shop.outcome(ended.result["release"]) == "rolled_back"
    _ended_for_good(shop, shop.standby)
    shop.check_serves(version)
    assert shop.pid(shop.live) == before


@pytest.mark.row("E5")
def test_watch_rolls_back_onto_a_stopped_standby_when_the_release_crashes(shop: Shop) -> None:
    version = shop.serving()
    shop.config(health={"successes": 3}, keep={"watch_s": LONG_S})
    shop.new_version()
    with in_background(shop.app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="watch", state="started")
        run(shop.server, "systemctl", "stop", f"teal-shop@{shop.standby}")
        assert status_of(f"http://{shop.server.address}/exit") == 502
        ended = deploying.ended()
    assert (ended.code, ended.result["outcome"]) == (7, "rolled_back")
    assert ended.result["error"]["message"].endswith(f"{shop.release(shop.live)} on {shop.live} serves again")
    shop.check_settled(version)


@pytest.mark.row("E15")
def test_crash_looping_standby_is_reported_and_started_again_by_the_next_rollback(shop: Shop) -> None:
    gone = shop.server.root / "var/lib/shop/gone"  # the program does not start without it
    before = shop.deployed(exits_if="/var/lib/shop/gone")
    version = shop.deployed()
    live, standby = shop.pid(shop.live), shop.standby
    gone.touch()
    with shop.drop_in("RestartSec=100ms\nRestartSteps=0"):
        shop.kill(standby)
        wait_until(lambda: int(shop.shown(standby, "NRestarts")) > MORE_THAN_SYSTEMD_ALLOWS)
        ended = r"since .* UTC it ended \d+ times: it was ended by SIGKILL, it exited with code 1 \(\d+ times\)"
        pattern = f"{standby} no longer stands by: {ended}; systemd tries again and again; a rollback starts "
        pattern += f"{shop.release(standby)} again first"
        wait_until(lambda: any(re.fullmatch(pattern, note) for note in shop.app.status()["notes"]))
        assert shop.app.status()["colors"][standby]["restarts"]["times"] > MORE_THAN_SYSTEMD_ALLOWS
        findings = shop.app.teal("doctor", "--json").result["findings"]
        (finding,) = (row for row in findings if row["what"] == "standby")
        assert finding["state"] == "warning"
        assert "/var/lib/shop/gone" in type_in(shop.app, hint_of(finding, "teal logs --color {}")).out
        gone.unlink()
        wait_until(lambda: shop.pid(standby) != 0)
    gone.touch()
    shop.kill(standby)
    assert shop.app.teal("rollback", "--json").code == 6
    assert shop.shown(standby, "ActiveState") in ("inactive", "failed")
    shop.check_serves(version)
    assert shop.pid(shop.live) == live
    gone.unlink()
    shop.app.teal("rollback").ok()
    shop.check_settled(before)


@pytest.mark.row("E16", "E17")
@pytest.mark.timeout(600 + 2 * AWAY_S)
@pytest.mark.hint("teal logs --color {}: what does the program need?")
def test_live_release_is_back_soon_after_what_it_needs_is_back(shop: Shop, counted: Callable[..., None]) -> None:
    """Checks this at runtime, and again after a reboot."""
    away = shop.server.root / "var/lib/shop/away"  # like a database that the program needs at its start
    version = shop.deployed(exits_if="/var/lib/shop/away")
    live, began = shop.live, time.monotonic()
    away.touch()
    shop.kill(live)
    wait_until(lambda: int(shop.shown(live, "NRestarts")) > MORE_THAN_SYSTEMD_ALLOWS, AWAY_S + PATIENCE_S)
    wait_until(lambda: time.monotonic() > began + AWAY_S, AWAY_S + PATIENCE_S)
    _check_is_tried(shop, live)
    at_runtime = _back_within(shop, version, away)
    away.touch()
    shop.server.reboot()
    began = time.monotonic()
    wait_until(lambda: int(shop.shown(live, "NRestarts")) > 0)
    wait_until(lambda: time.monotonic() > began + AWAY_S, AWAY_S + PATIENCE_S)
    at_boot = _back_within(shop, version, away)
    counted(away=f"{AWAY_S:g} s", back_after=f"{at_runtime:.1f} s", back_after_at_boot=f"{at_boot:.1f} s")


def _check_is_tried(shop: Shop, live: str) -> None:
    status = _seen_between_two_tries(shop, "status", lambda answer: answer["colors"][live]["state"] == "failed")
    restarts = status["colors"][live]["restarts"]
    assert [end["how"] for end in restarts["ends"]] == ["it was ended by SIGKILL", "it exited with code 1"]
    assert restarts["times"] == 1 + restarts["ends"][1]["times"] > MORE_THAN_SYSTEMD_ALLOWS
    assert restarts["since"] == restarts["ends"][0]["since"] < restarts["ends"][1]["last"]
    message = "does not run; systemd tries again and again; since"
    assert any(f"{live} is live but {message}" in note for note in status["notes"]), status["notes"]
    doctor = _seen_between_two_tries(shop, "doctor", lambda answer: bool(_live_faults(answer)))
    (fault,) = _live_faults(doctor)
    hint = hint_of(fault, "teal logs --color {}: what does the program need?")
    assert "/var/lib/shop/away" in type_in(shop.app, hint.partition(": ")[0]).out
    assert "it exited with code 1 (" in fault["says"], fault


def _live_faults(doctor: Any) -> list[Any]:
    return [row for row in doctor["findings"] if (row["what"], row["state"]) == ("live", "fault")]


def _seen_between_two_tries(shop: Shop, command: str, is_down: Callable[[Any], bool]) -> Any:
    """The answer of a command that did not look just when systemd had started the program once more."""
    answers: list[Any] = []

    def seen() -> bool:
        answers.append(shop.app.teal(command, "--json").result)
        return is_down(answers[-1])

    wait_until(seen)
    return answers[-1]


def _back_within(shop: Shop, version: str, away: Path) -> float:
    began = time.monotonic()
    away.unlink()
    wait_until(lambda: shop.answers(version), BACK_WITHIN_S)
    return time.monotonic() - began


@pytest.mark.row("D12")
def test_deploy_and_rollback_work_while_nginx_is_reloaded_again_and_again(shop: Shop) -> None:
    """certbot, logrotate or an admin reload nginx. nginx loses what its reload loses; Teal keeps the link right."""
    old = shop.serving()
    master = run(shop.server, "cat", "/run/nginx.pid").strip()
    workers = run(shop.server, "pgrep", "-P", master)
    run(shop.server, "systemd-run", "--unit=reloads", "sh", "-c", "while nginx -s reload; do sleep 0.1; done")
    try:
        shop.check_serves(shop.deployed())
        shop.app.teal("rollback").ok()
        shop.check_serves(old)
        assert run(shop.server, "systemctl", "is-active", "reloads") == "active\n"
    finally:
        run(shop.server, "systemctl", "stop", "reloads")
    assert not set(workers.split()) & set(run(shop.server, "pgrep", "-P", master).split())
    shop.check_settled(old)


@pytest.mark.row("A9", "A16")
def test_live_color_is_up_after_a_reboot_before_anything_is_typed(shop: Shop) -> None:
    version = shop.deployed(warms_up=1)
    shop.deployed(warms_up=1)
    shop.app.teal("rollback").ok()
    live, standby = shop.live, shop.standby
    shop.server.reboot()
    wait_until(lambda: shop.answers(version))
    assert shop.app.get()["color"] == live == shop.live
    states = {color: shop.shown(color, "ActiveState") for color in (live, standby)}
    assert states == {live: "active", standby: "inactive"}
    assert shop.oom_score(live) == 0


def _ended_for_good(shop: Shop, color: str) -> None:
    """Checks that systemd does not restart the program."""
    assert shop.shown(color, "ActiveState") in ("inactive", "failed")
    assert shop.app.status()["colors"][color]["state"] == "failed"
    assert run(shop.server, "systemctl", "list-jobs", "--no-legend").strip() == ""


def test_watch_rolls_back_when_visitors_get_errors_and_nginx_logs_as_before(shop: Shop) -> None:
    old = shop.deployed()
    shop.config(keep={"watch_s": LONG_S})
    shop.new_version(starts_after=1.5)
    with visitors(shop.server, [shop_site()], each=8), in_background(shop.app, "deploy", "--json") as running:
        running.wait_for(type="step", name="watch", state="started")
        shop.app.get("/?password=hunter2")
        assert status_of(f"http://{shop.server.address}/break") == 500
        ended = running.ended()
    assert (ended.code, ended.result["outcome"]) == (7, "rolled_back"), ended
    assert "fails its visitors" in ended.result["error"]["message"]
    shop.check_settled(old)
    logs = shop.server.root / "var/log/nginx"
    assert "GET /?password=hunter2" in (logs / "access.log").read_text()
    assert "hunter2" not in (logs / "teal-shop.watched").read_text()


@pytest.mark.row("C9")
def test_stop_kills_a_program_that_ignores_sigterm_with_all_its_children(shop: Shop) -> None:
    shop.deployed(deaf=True, child=True)
    color, group = shop.live, shop.shown(shop.live, "ControlGroup")
    before = run(shop.server, "cat", f"/sys/fs/cgroup{group}/cgroup.procs").split()
    assert len(before) >= 2
    shop.deployed()
    with shop.drop_in("TimeoutStopSec=1s"):  # the half minute of setup is long for a test
        new = shop.deployed()
    after = run(shop.server, "cat", f"/sys/fs/cgroup{group}/cgroup.procs").split()
    assert set(before) & set(after) == set()
    assert shop.live == color
    shop.check_settled(new)


@pytest.mark.row("E21")
def test_program_behind_a_start_script_is_told_to_end_and_finishes_its_work(shop: Shop) -> None:
    may_end = "/var/lib/shop/may-end"
    shop.config(
        run={"command": ["sh", "-c", "./program; true"], "data": True}, keep={"previous_running": False, "drain_s": 0}
    )
    shop.new_version(ends_when=may_end)
    notes = [line["text"] for line in shop.app.deploy().ok().lines if line["type"] == "note"]
    assert any(text.startswith("sh starts python3") and "write exec" in text for text in notes), notes
    previous = shop.live
    shop.new_version()
    with in_background(shop.app, "deploy", "--json") as deploying:
        wait_until(lambda: "told to end" in shop.app.teal("logs", "--color", previous).ok().out)
        (shop.server.root / may_end.lstrip("/")).touch()
        deploying.ended().ok()
    assert "has ended by itself" in shop.app.teal("logs", "--color", previous).ok().out
    shop.check_settled(shop.deployed())
