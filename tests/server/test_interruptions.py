"""Cut lines, killed server sides and reboots: one release serves, and the next command recovers."""

import itertools
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crash.killed_host import ENDED
from crash.scenes import HOST, server_sides_end
from harness.background import RunningCommand, in_background
from harness.ssh_access import run
from harness.ssh_line import own_line
from harness.world import wait_until
from hints.walk import type_in
from server.shop import Shop
from teal.config.read import load
from teal.ground.errors import ContactLost, HostFailed, TealError
from teal.stories import deploy
from teal.stories.result_json import Account
from teal.transports import Transport, choose
from teal.ui.plain import Quiet

GATES = itertools.count(1)
SICK_FOR_S = 6  # then recovery rolls back
BENT = Path(__file__).parent / "bent_host.py"


@contextmanager
def deploying(
    shop: Shop, watch_s: float = 0, **behaviour: Any
) -> Iterator[tuple[str, RunningCommand, Callable[[], None]]]:
    """A deploy of a new version after commit. Its health check waits until the third value is called."""
    gate = f"srv/gate{next(GATES)}"  # each program has its own gate, because the program may have to start again
    shop.config(health={"deadline_s": 600}, keep={"watch_s": watch_s})
    version = shop.new_version(waits_for=f"/{gate}", warms_up=0.5, **behaviour)
    with in_background(shop.app, "deploy", "--json") as running:
        running.wait_for(type="step", name="health", state="started")
        yield version, running, (shop.server.root / gate).touch


# --- the line is cut ------------------------------------------------------------------------------------------------


@pytest.mark.row("B1")
def test_line_cut_before_the_commit_changes_nothing(shop: Shop) -> None:
    version = shop.serving()
    before, releases = shop.app.status(), stored(shop)
    shop.new_version()
    large(shop.app.directory)
    shop.config(build={"artifact": "dist"})
    with in_background(shop.app, "deploy", "--json") as running:
        running.wait_for(type="progress", step="upload")
        os.kill(running.server_side(), signal.SIGKILL)  # this process is ssh
        ended = running.ended()
    assert (ended.code, ended.result["outcome"]) == (4, "refused")
    assert "nothing was changed" in ended.result["error"]["message"]
    wait_until(lambda: shop.app.status() == before)
    wait_until(lambda: stored(shop) == releases)
    shop.check_settled(version)
    shop.check_settled(shop.deployed())


@pytest.mark.row("G3")
def test_deploy_finishes_by_itself_when_the_line_is_cut_after_the_commit(shop: Shop) -> None:
    shop.serving()
    with deploying(shop) as (version, running, let_it_listen):
        os.kill(running.server_side(), signal.SIGKILL)
        ended = running.ended()
        assert (ended.code, ended.result["outcome"]) == (9, "unknown")
        assert ended.result["error"]["hint"] == "teal status"
        assert "is at work here since" in shop.app.status()["notes"][0]
        refused = shop.app.deploy()
        assert (refused.code, "is at work here since" in refused.result["error"]["message"]) == (8, True)
        let_it_listen()
        shop.wait_for_no_notes()
    shop.check_settled(version)
    assert last_line(shop) == ("end", "live", shop.release(shop.live))


def test_bad_candidate_is_refused_when_the_line_is_cut_after_the_commit(shop: Shop) -> None:
    version = shop.serving()
    shop.config(health={"deadline_s": 3})
    shop.new_version(health=500)
    with in_background(shop.app, "deploy", "--json") as running:
        running.wait_for(type="step", name="health", state="started")
        os.kill(running.server_side(), signal.SIGKILL)
        assert running.ended().code == 9
    shop.wait_for_no_notes()
    assert last_line(shop)[:2] == ("end", "unhealthy")
    shop.check_settled(version)


# --- the line falls silent ------------------------------------------------------------------------------------------

# ssh notices this soon, and not after a minute
NOTICED_SOON = ("-o", "ServerAliveInterval=3", "-o", "ServerAliveCountMax=1")
IN_A_HURRY = """
from teal_host.pipe.channel import _Patient as Patient
read = Patient.read
def hasty(self, size):
    self._within_s = min(self._within_s, 6)
    return read(self, size)
Patient.read = hasty
"""  # the real limit of two minutes is long for a test


@pytest.mark.row("B2")
def test_client_and_server_side_end_by_themselves_when_the_line_falls_silent_in_the_upload(shop: Shop) -> None:
    version = shop.serving()
    before, releases = shop.app.status(), stored(shop)
    shop.new_version()
    large(shop.app.directory)
    shop.config(build={"artifact": "dist"})
    with own_line(shop.app.world, shop.server, *NOTICED_SOON) as line, ThreadPoolExecutor(1) as aside:
        deploying = aside.submit(bent, shop, IN_A_HURRY)
        wait_until(lambda: any(shop.server.root.glob("var/lib/teal/shop/releases/.upload-*/**/large")))
        line.falls_silent()
        error = deploying.result(120)
        assert error is not None
        assert (error.exit_code, "nothing was changed" in error.message) == (4, True)
        wait_until(lambda: shop.server.run("flock", "-n", "/var/lib/teal/shop/lock", "true").returncode == 0)
        assert line.is_silent()
    assert shop.app.status() == before
    assert stored(shop) == releases
    shop.check_serves(version)
    shop.check_settled(shop.deployed())


@pytest.mark.row("B3", "B4")
def test_deploy_is_watched_and_finishes_by_itself_when_the_line_falls_silent_after_the_commit(shop: Shop) -> None:
    shop.serving()
    with own_line(shop.app.world, shop.server, *NOTICED_SOON) as line, deploying(shop, watch_s=1) as (new, running, go):
        line.falls_silent()
        go()
        ended = running.ended()
        assert (ended.code, ended.result["outcome"]) == (9, "unknown")
        wait_until(lambda: last_line(shop)[:2] == ("end", "live"))
        assert line.is_silent()
    shop.check_settled(new)


@pytest.mark.row("B4")
def test_watch_rolls_back_a_sick_release_while_the_line_is_silent(shop: Shop) -> None:
    """Nobody hears of the rollback meanwhile. A client that still listens when the line is back gets the result."""
    old = shop.serving()
    with own_line(shop.app.world, shop.server) as line, watching(shop) as (_, running):
        line.falls_silent()
        shop.app.get("/sicken")
        wait_until(lambda: last_line(shop)[:2] == ("end", "rolled_back"))
        assert line.is_silent()
        line.goes_on()
        assert running.ended().code == 7
    shop.check_settled(old)


# --- two commands ---------------------------------------------------------------------------------------------------


@pytest.mark.row("G1")
def test_lock_refuses_a_second_command_with_its_holder_and_lets_a_waiting_command_in(shop: Shop) -> None:
    shop.serving()
    with deploying(shop) as (_, first, let_it_listen):
        refused = shop.app.teal("deploy", "--json")
        assert (refused.code, refused.result["outcome"]) == (8, "refused")
        message = refused.result["error"]["message"]
        assert re.search(r"is at work here since \d\d:\d\d:\d\d UTC: deploy \(process ", message)
        assert "--wait" in refused.result["error"]["hint"]
        assert shop.app.deploy("--wait", "0.3").code == 8
        last = shop.new_version()
        with in_background(shop.app, "deploy", "--json", "--wait", "60") as second:
            second.wait_for(type="step", name="connect", state="done")
            let_it_listen()
            before = first.ended().ok().result
            after = second.ended().ok().result
    assert after["previous"] == before["release"]
    shop.check_settled(last)


@pytest.mark.row("G6")
def test_rollback_overtakes_a_deploy_in_its_upload_its_health_check_and_its_watch(
    shop: Shop, counted: Callable[..., None]
) -> None:
    def rolled_back() -> None:
        began = time.monotonic()
        assert shop.app.teal("rollback", "--json").ok().result["outcome"] == "live"
        counted(seconds_of_the_rollback=round(time.monotonic() - began, 2))

    shop.serving()
    before = shop.deployed()
    shop.deployed()
    shop.new_version()
    large(shop.app.directory)
    shop.config(build={"artifact": "dist"})
    with in_background(shop.app, "deploy", "--json") as uploading:
        uploading.wait_for(type="progress", step="upload")
        uploading.send(signal.SIGSTOP)
        rolled_back()
        uploading.send(signal.SIGCONT)
        ended = uploading.ended()
    assert (ended.code, ended.result["error"]["message"]) == (8, "gave way to a rollback; traffic stayed")
    shop.check_settled(before)
    shop.deployed()
    with shop.drop_in("TimeoutStopSec=600"), deploying(shop, deaf=True) as (_, waiting, _):
        began = time.monotonic()
        rolled_back()
        assert time.monotonic() - began < 300  # systemd itself would have killed it after ten minutes
        ended = waiting.ended()
    assert (ended.code, ended.result["error"]["message"]) == (8, "gave way to a rollback; traffic stayed")
    shop.check_settled(before)
    with deploying(shop, watch_s=3600) as (_, watching, let_it_listen):
        let_it_listen()
        watching.wait_for(type="step", name="watch", state="started")
        rolled_back()
        ended = watching.ended()
    assert (ended.code, ended.result["outcome"]) == (7, "superseded")
    shop.check_settled(before)


# --- nginx does not do what the link says ---------------------------------------------------------------------------

# the real limit of five seconds is long for a test
SOON = "from teal_host.steps import switch; switch._VERIFY = switch.Patience(2)\n"
NGINX_DIES = """
import subprocess
point_live_to = switch.point_live_to
def switched(app, color):
    point_live_to(app, color)
    subprocess.run(["systemctl", "kill", "-s", "KILL", "nginx"], check=True)
switch.point_live_to = switched
"""


@pytest.mark.row("H5")
@pytest.mark.hint("teal doctor")
def test_verify_returns_the_link_when_nginx_cannot_reach_the_marker(shop: Shop) -> None:
    """nginx reports nothing in this case, and sends requests to blue. Only a request through nginx shows it."""
    old, green = shop.serving(), shop.server.root / "var/lib/teal/shop/green"
    while shop.live != "blue" or not green.is_dir():
        old = shop.deployed()
    shop.new_version()
    green.chmod(0o700)
    try:
        error = bent(shop, SOON)
        assert isinstance(error, HostFailed)
        findings = shop.app.teal(*error.hint.split()[1:], "--json").result["findings"]
        type_in(shop.app, next(row["hint"] for row in findings if row["what"] == "route"))
        assert green.stat().st_mode & 0o001
    finally:
        green.chmod(0o755)
    assert (error.exit_code, error.outcome) == (7, "rolled_back")
    asked, wanted = (shop.app.status()["colors"][color]["port"] for color in ("blue", "green"))
    assert f"nginx asked 127.0.0.1:{asked}, not green on port {wanted}; rolled back: " in error.message
    assert error.hint == "teal doctor"
    assert last_line(shop)[:2] == ("end", "rolled_back")
    shop.check_settled(old)


@pytest.mark.row("D5", "D6")
def test_switch_returns_the_link_and_reports_that_no_site_is_served_when_nginx_dies(shop: Shop) -> None:
    old, color = shop.serving(), shop.live
    shop.new_version()
    try:
        error = bent(shop, SOON + NGINX_DIES)
        assert isinstance(error, HostFailed)
        refused = shop.app.teal("rollback", "--json")
        type_in(shop.app, error.hint.partition(" (")[0])
    finally:
        run(shop.server, "systemctl", "start", "nginx")
    assert error.exit_code == 10
    assert (
        f"nginx does not run on this server, so none of its sites is served; the link points to {color}"
        in error.message
    )
    assert error.hint.startswith("teal ssh -- systemctl start nginx")
    assert (refused.code, refused.result["error"]["hint"]) == (10, error.hint)
    shop.check_settled(old)


# --- the server side is killed --------------------------------------------------------------------------------------

MOMENTS = [  # "NAME+K" is before the K-th act after the first act NAME
    "append journal+0",
    "run systemctl start+0",
    "run systemctl start+1",
    "turn link teal-shop@*+1",
    "turn link live+0",
    "turn link live+1",
    "remove teal-shop@*+0",
]
BEFORE = MOMENTS.index("turn link live+1")  # the switch


@pytest.mark.parametrize("when", MOMENTS)
@pytest.mark.row("A1", "G2")
def test_recovery_follows_a_kill_at_each_act_and_a_release_serves_meanwhile(shop: Shop, when: str) -> None:
    old = shop.serving()
    new = shop.new_version()
    switched = MOMENTS.index(when) >= BEFORE
    assert isinstance(killed(shop, when), ContactLost)
    assert shop.check_serves(new if switched else old)
    rolled_back = switched and when != MOMENTS[-1]
    if rolled_back:  # the next command may be any
        assert shop.app.teal("rollback", "--json").ok().result["outcome"] == "live"
        shop.check_settled(old)
    else:
        shop.check_settled(shop.deployed())


def test_rollback_goes_back_from_a_healthy_release_after_a_kill_in_the_watch(shop: Shop) -> None:
    old, new = shop.serving(), killed_in_the_watch(shop)
    shop.check_serves(new)
    assert any("a command was interrupted" in note for note in shop.app.status()["notes"])
    assert "had gone live, and a rollback goes back from it" in shop.app.teal("rollback").ok().err
    shop.check_settled(old)


def test_recovery_rolls_back_a_sick_release_after_a_kill_in_the_watch(shop: Shop) -> None:
    old, new = shop.serving(), killed_in_the_watch(shop, SICK_FOR_S)
    shop.app.get("/sicken")
    shop.check_serves(new)
    shop.config()
    shop.new_version(exits=1)
    refused = shop.app.deploy()  # this deploy first recovers
    assert refused.code == 6
    assert f"rolled back to {shop.release(shop.live)}" in refused.err + refused.out
    shop.check_settled(old)


@pytest.mark.row("A9", "A16")
def test_live_release_serves_after_a_kill_before_the_switch_and_a_reboot(shop: Shop) -> None:
    """The color that was enabled first starts beside the live color at boot, and gets no request."""
    old = shop.serving()
    shop.new_version(warms_up=1)
    assert isinstance(killed(shop, "turn link live+0"), ContactLost)
    shop.server.reboot()
    shop.check_serves(old)
    shop.check_settled(shop.deployed())


@pytest.mark.row("A9")
def test_reboot_in_the_upload_changes_nothing(shop: Shop) -> None:
    old, releases = shop.serving(), stored(shop)
    shop.new_version()
    large(shop.app.directory)
    shop.config(build={"artifact": "dist"})
    with in_background(shop.app, "deploy", "--json") as running:
        running.wait_for(type="progress", step="upload")
        shop.server.reboot()
        ended = running.ended()
    assert (ended.code, "nothing was changed" in ended.result["error"]["message"]) == (4, True)
    shop.config()
    assert stored(shop) == releases
    shop.check_settled(old)


@pytest.mark.row("A9", "A16")
def test_reboot_before_the_switch_keeps_the_live_release_and_recovery_cleans_up(shop: Shop) -> None:
    old = shop.serving()
    with deploying(shop) as (_, running, _):
        shop.server.reboot()
        ended = running.ended()
    error = ended.result["error"]["message"]
    assert ended.code == 9 or (ended.code, "this machine goes down" in error) == (6, True), (
        error
    )  # the answer came before the line ended
    shop.config()
    wait_until(lambda: shop.answers(old))
    shop.wait_for_no_notes()
    shop.check_settled(old)


@pytest.mark.row("A9", "A16")
def test_reboot_in_the_watch_keeps_the_new_release_and_recovery_cleans_up(shop: Shop) -> None:
    """The watch ends with the machine, and does not count the end as a fault of the program."""
    old = shop.serving()
    with watching(shop) as (new, running):
        shop.server.reboot()
        assert running.ended().code == 9
    shop.check_serves(new)
    shop.wait_for_no_notes()
    assert shop.app.status()["last"]["outcome"] == "live"
    shop.app.teal("rollback").ok()
    shop.check_settled(old)


def killed(shop: Shop, when: str) -> TealError | None:
    """Runs a deploy whose server side is killed at this moment."""
    root = shop.server.root / "root"
    (root / "killed_host.py").write_text(HOST.read_text())
    (root / "acts").unlink(missing_ok=True)
    error = sent_into(shop, "/root/killed_host.py", "/root/acts", when, "SIGKILL")
    assert ENDED in (root / "acts").read_text(), (root / "acts").read_text()
    return error


def bent(shop: Shop, bend: str) -> TealError | None:
    """Runs a deploy whose server side first executes this Python code."""
    (shop.server.root / "root/bent_host.py").write_text(BENT.read_text())
    return sent_into(shop, "/root/bent_host.py", bend)


def sent_into(shop: Shop, *harness: str) -> TealError | None:
    """Runs a deploy whose server side is sent into a Python with this harness. Returns the error, if any."""

    def harnessed(target: str) -> Transport:
        chosen = choose(target)
        return replace(chosen, python=(*chosen.python, *harness), server=False)

    with pytest.MonkeyPatch.context() as patch, server_sides_end(patch):
        patch.setenv("PATH", shop.app.world.env["PATH"])
        patch.setattr("teal.pipe.open.choose", harnessed)
        try:
            deploy.deploy(load(shop.app.directory), deploy.DeployOptions(), Quiet(), Account())
        except TealError as error:
            return error
    return None


@contextmanager
def watching(shop: Shop, deadline_s: float = 30, **behaviour: Any) -> Iterator[tuple[str, RunningCommand]]:
    """A deploy of a new version that is live and in the watch. Recovery waits `deadline_s` for the version, if sick."""
    version = shop.new_version(warms_up=1, **behaviour)
    shop.config(health={"deadline_s": deadline_s}, keep={"watch_s": 600})
    with in_background(shop.app, "deploy", "--json") as running:
        running.wait_for(type="step", name="watch", state="started")
        yield version, running
    shop.config()


def killed_in_the_watch(shop: Shop, deadline_s: float = 30) -> str:
    with watching(shop, deadline_s) as (version, running):
        shop.kill_server_side()
        assert running.ended().code == 9
    return version


def large(folder: Path) -> None:
    """Makes an artifact whose upload takes a while."""
    (folder / "dist").mkdir(exist_ok=True)
    (folder / "program").rename(folder / "dist/program")
    (folder / "dist/large").write_bytes(os.urandom(48_000_000))


def stored(shop: Shop) -> set[str]:
    """The stored releases and records, without uploads that wait for a next try."""
    home = shop.server.root / "var/lib/teal/shop"
    return {path.name for folder in ("releases", "records") for path in (home / folder).glob("[!.]*")}


def last_line(shop: Shop) -> tuple[str, str, str]:
    """The last line of the journal: the act, the outcome, and the release."""
    line = json.loads((shop.server.root / "var/lib/teal/shop/journal").read_text().splitlines()[-1])
    return line["event"], line.get("outcome", ""), line.get("release", "")


# --- the machine goes down in the middle ----------------------------------------------------------------------------


@pytest.mark.row("A10", "A16")
def test_power_failure_in_the_watch_keeps_a_healthy_release_before_anything_is_typed(shop: Shop) -> None:
    shop.serving()
    with watching(shop) as (new, running):
        shop.server.power_off_hard()
        assert running.ended().code == 9
    shop.server.start()
    wait_until(lambda: shop.answers(new))
    shop.wait_for_no_notes()
    assert shop.app.status()["last"]["outcome"] == "live"
    shop.check_settled(new)


@pytest.mark.row("A10", "A16")
def test_power_failure_in_the_watch_rolls_back_a_release_that_has_turned_sick(shop: Shop) -> None:
    """The previous release did not start with the machine, so recovery first starts and checks it."""
    old, sick = shop.serving(), shop.server.root / "srv/sick"
    sick.unlink(missing_ok=True)
    with watching(shop, SICK_FOR_S, sick_when="/srv/sick") as (_, running):
        shop.server.power_off_hard()
        assert running.ended().code == 9
    sick.touch()
    shop.server.start()
    wait_until(lambda: shop.answers(old))
    shop.wait_for_no_notes()
    assert shop.app.status()["last"]["outcome"] == "rolled_back"
    shop.check_settled(old)
