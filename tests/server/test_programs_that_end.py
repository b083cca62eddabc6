"""Programs that end under systemd: the live one comes back, a candidate is refused, a bad one is turned back."""

import shutil
import time

import pytest

from beside import beside
from server.shop import Shop
from servers.reach import run
from visitors import Site, visitors
from world import status_of, wait_until

LONG_S = 60  # a deadline or a watch that must not be waited for


def shop_site() -> Site:
    return Site("shop.test", lambda body: b'"version"' in body)


def test_the_live_one_is_spared_when_memory_is_short_and_the_standby_goes_first(shop: Shop) -> None:
    shop.deployed()
    shop.deployed()
    assert (shop.oom_score(shop.live), shop.oom_score(shop.standby)) == (0, 500)
    shop.app.teal("rollback").ok()
    assert (shop.oom_score(shop.live), shop.oom_score(shop.standby)) == (0, 500)
    shop.kill(shop.live)
    wait_until(lambda: shop.pid(shop.live) != 0)
    assert shop.oom_score(shop.live) == 0


def test_rollbacks_and_a_crash_of_the_standby_lose_nothing(shop: Shop) -> None:
    old, new = shop.deployed(), shop.deployed()
    with visitors(shop.server, [shop_site()], each=4) as seen:
        shop.app.teal("rollback").ok()
        shop.check_serves(old)
        pid = shop.pid(shop.standby)
        shop.kill(shop.standby)
        wait_until(lambda: shop.pid(shop.standby) not in (0, pid))
        seen.more()
        shop.deployed()
        shop.app.teal("rollback").ok()
        shop.check_serves(old)
        seen.more()
    assert seen.tally.lost == 0, seen.tally.failures
    assert new != old


def test_the_same_visitors_see_a_restart_and_a_reload(shop: Shop) -> None:
    """So the zero above, and that of the three apps, is none of their blindness."""
    shop.serving()
    for argv in (("restart", f"teal-shop@{shop.live}"), ("reload", "nginx")):
        with visitors(shop.server, [shop_site()], each=8, per_second=50) as seen:
            for _ in range(3):  # systemd starts a unit five times a minute
                run(shop.server, "systemctl", *argv)
                seen.more()
        assert seen.tally.lost > 0, argv


def test_the_live_one_is_back_about_a_second_after_it_was_killed(shop: Shop) -> None:
    version = shop.deployed()
    pid, color = shop.pid(shop.live), shop.live
    began = time.monotonic()
    shop.kill(color)
    wait_until(lambda: shop.answers(version))
    assert time.monotonic() - began > 0.9  # RestartSec is 1
    assert (shop.live, shop.pid(color) != pid) == (color, True)
    shop.check_serves(version)


def test_a_candidate_that_crashes_at_its_start_is_refused_at_once_with_its_exit_code(shop: Shop) -> None:
    version = shop.serving()
    shop.config(health={"deadline_s": LONG_S})
    shop.new_version(exits=41)
    began = time.monotonic()
    refused = shop.app.deploy()
    assert time.monotonic() - began < 15
    assert (refused.code, refused.result["outcome"]) == (6, "unhealthy")
    assert "exited with code 41" in refused.result["error"]["message"]
    _ended_for_good(shop, shop.standby)
    shop.check_serves(version)


def test_a_candidate_that_answers_well_and_then_crashes_is_refused_at_once(shop: Shop) -> None:
    version = shop.serving()
    shop.config(health={"successes": 100, "deadline_s": LONG_S})
    shop.new_version(exits_after=0.5)
    began = time.monotonic()
    refused = shop.app.deploy()
    assert time.monotonic() - began < 15
    assert (refused.code, refused.result["outcome"]) == (6, "unhealthy")
    assert "exited with code 3" in refused.result["error"]["message"]
    _ended_for_good(shop, shop.standby)
    shop.check_serves(version)


@pytest.mark.parametrize(("step", "code", "outcome"), [("health", 6, "unhealthy"), ("watch", 7, "rolled_back")])
def test_one_that_was_started_again_between_two_looks_is_found_out(
    shop: Shop, step: str, code: int, outcome: str
) -> None:
    """The server side stands still meanwhile, as on a busy machine, and finds a program that runs and answers well."""
    version = shop.serving()
    shop.config(health={"successes": 100 if step == "health" else 1, "deadline_s": LONG_S}, keep={"watch_s": LONG_S})
    shop.new_version()
    color = shop.standby
    with beside(shop.app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name=step, state="started")
        wait_until(lambda: shop.pid(color) != 0)
        shop.kill_server_side("STOP")
        pid = shop.pid(color)
        shop.kill(color)
        wait_until(lambda: shop.pid(color) not in (0, pid))
        shop.kill_server_side("CONT")
        ended = deploying.ended(30)
    assert (ended.code, ended.result["outcome"]) == (code, outcome), ended
    assert "the program ended by itself and was started again (once)" in ended.result["error"]["message"]
    _ended_for_good(shop, color)
    shop.check_serves(version)


def test_one_that_crashes_in_the_watch_is_turned_back_onto_the_standby(shop: Shop) -> None:
    version = shop.serving()
    before = shop.pid(shop.live)
    shop.config(health={"successes": 3}, keep={"watch_s": LONG_S})
    shop.new_version(exits_when_asked=4)
    ended = shop.app.deploy()
    assert (ended.code, ended.result["outcome"]) == (7, "rolled_back")
    assert "exited with code 3" in ended.result["error"]["message"]
    assert shop.outcome(ended.result["release"]) == "turned_back"
    _ended_for_good(shop, shop.standby)
    shop.check_serves(version)
    assert shop.pid(shop.live) == before


def test_one_that_crashes_in_the_watch_stays_when_the_standby_has_ended_too(shop: Shop) -> None:
    shop.serving()
    shop.config(health={"successes": 3}, keep={"watch_s": LONG_S})
    new = shop.new_version()
    with beside(shop.app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="watch", state="started")
        shop.kill(shop.standby, "TERM")  # an end that systemd takes for a wish, so it is not started again
        wait_until(lambda: shop.pid(shop.standby) == 0)
        assert status_of(f"http://{shop.server.address}/exit") == 502
        ended = deploying.ended(30)
    assert (ended.code, ended.result["outcome"]) == (10, "unhealthy")
    assert f"it stays live, because {shop.standby} is not well either" in ended.result["error"]["message"]
    shop.check_serves(new)  # systemd has started it again
    shop.check_settled(shop.deployed())


@pytest.mark.row("D12")
def test_who_reloads_nginx_again_and_again_is_in_nobodys_way(shop: Shop) -> None:
    """As certbot, logrotate or an admin does. What such a reload loses is nginx's; where the link points is Teal's."""
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


@pytest.mark.row("A9")
def test_after_a_reboot_the_live_one_is_up_before_anything_is_typed(shop: Shop) -> None:
    version = shop.deployed()
    shop.deployed()
    shop.app.teal("rollback").ok()
    live, standby = shop.live, shop.standby
    shop.server.reboot()
    wait_until(lambda: shop.answers(version), 30)
    assert shop.app.get()["color"] == live == shop.live
    states = {color: shop.shown(color, "ActiveState") for color in (live, standby)}
    assert states == {live: "active", standby: "inactive"}
    assert shop.oom_score(live) == 0


def _ended_for_good(shop: Shop, color: str) -> None:
    """Not restarted behind anybody's back."""
    assert shop.shown(color, "ActiveState") in ("inactive", "failed")
    assert shop.app.status()["colors"][color]["state"] == "failed"
    assert run(shop.server, "systemctl", "list-jobs", "--no-legend").strip() == ""


def test_one_that_fails_its_visitors_is_turned_back_and_nginx_logs_as_before(shop: Shop) -> None:
    old = shop.deployed()
    shop.config(keep={"watch_s": LONG_S})
    shop.new_version(starts_after=0.5)
    with visitors(shop.server, [shop_site()], each=8), beside(shop.app, "deploy", "--json") as running:
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


def test_who_ignores_being_told_to_end_is_killed_with_all_its_children(shop: Shop) -> None:
    shop.deployed(deaf=True, child=True)
    color, group = shop.live, shop.shown(shop.live, "ControlGroup")
    quick = shop.server.root / "etc/systemd/system/teal-shop@.service.d"
    quick.mkdir()  # setup's half a minute is long for a test
    (quick / "quick.conf").write_text("[Service]\nTimeoutStopSec=1s\n")
    run(shop.server, "systemctl", "daemon-reload")
    before = run(shop.server, "cat", f"/sys/fs/cgroup{group}/cgroup.procs").split()
    assert len(before) >= 2
    shop.deployed()
    new = shop.deployed()
    after = run(shop.server, "cat", f"/sys/fs/cgroup{group}/cgroup.procs").split()
    assert set(before) & set(after) == set()
    assert shop.live == color
    shop.check_settled(new)
    shutil.rmtree(quick)
    run(shop.server, "systemctl", "daemon-reload")
