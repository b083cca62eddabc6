"""A booted server loses its power at random moments, and with it everything that was not synced.

After the boot, and before anybody types anything, the old or the new release serves. What was reported as live is live,
and the next command works. `TEAL_POWER_CUTS=100` makes 100 cuts; the same number has the same moments.
"""

import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import harness
from crash.scenes import server_sides_end
from harness import Server
from harness.background import RunningCommand, in_background
from harness.ssh_access import one_login
from harness.world import Ended, at_server, wait_until
from server.shop import Shop
from teal.building import artifact
from teal.config.read import load
from teal.stories import deploy
from teal.stories.result_json import Account
from teal.transports import Transport, choose
from teal.ui.plain import Quiet
from teal_host.wire.messages import Result

CUTS, SEED = int(os.environ.get("TEAL_POWER_CUTS", "3")), 20_261_124
# one in so many cuts hits a rollback and not a deploy; one in so many is followed by a cut during the boot
EACH_ROLLBACK, EACH_TWICE = 4, 5
PAST_THE_END = 1.25  # times the usual length; from 1 on, the cut comes right after the end
CLEANED_UP = 2  # times the length of a boot
STOPPED = 0.3  # of the releases do not keep running as the standby
FILES, KEPT = 12, 2  # files of an artifact, releases on the server
NOT_THERE, UNKNOWN = 4, 9
ENDED = "after its end"


class Machine:
    """A server with its own disk and an app. After each cut, a new login is needed."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.shop = Shop(server, at_server(folder / "home", server).app("shop"))
        self.versions: dict[str, str] = {}  # by release
        self.draw = random.Random(SEED)
        self._deploy_s = 0.0
        self._share = 0.0  # the length of a rollback, as a share of that
        self._boot_s = 0.0

    @contextmanager
    def logged_in(self) -> Iterator[None]:
        with one_login(self.server) as config:
            at_server(self.folder / "home", self.server, config)
            yield

    def new_version(self) -> str:
        """Writes a version: a directory of files beside the program. The release that it replaces may be stopped."""
        keep = {"releases": KEPT, "watch_s": 0.2, "previous_running": self.draw.random() > STOPPED}
        self.shop.config(build={"artifact": "tree"}, keep=keep)
        version, tree = self.shop.new_version(warms_up=1), self.shop.app.directory / "tree"
        for number in range(FILES):
            path = tree / f"part{number % 3}" / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{version} {number}\n" * 1000)
        shutil.copy(self.shop.app.directory / "program", tree / "program")
        return version

    def deployed(self) -> str:
        version = self.new_version()
        self._deploy_s = seconds(self.shop.app.deploy())
        self.remember(version)
        return version

    def remember(self, version: str) -> None:
        answer = self.shop.app.get()
        assert answer["version"] == version
        self.versions[answer["release"]] = version

    def come_up(self, cut_again: bool) -> None:
        """Boots the server. If `cut_again`, first boots it and cuts the power again during the boot or the recovery."""
        if cut_again:
            self.server.power_on()
            time.sleep(self.draw.uniform(0, CLEANED_UP * self._boot_s))
            self.server.cut_power()
        began = time.monotonic()
        self.server.start()
        self._boot_s = time.monotonic() - began

    def usual(self, what: str) -> float:
        """How long an undisturbed command takes: measured at the last deploy, because other tests load the machine."""
        if not self._deploy_s:
            self.deployed()
            self.deployed()
        if what == "deploy" or not self.shop.pid(self.shop.standby):  # a stopped standby is started first
            return self._deploy_s
        if not self._share:
            self._share = seconds(self.shop.app.teal(what, "--json")) / self._deploy_s
            self.deployed()
        return self._share * self._deploy_s

    def previous(self) -> str:
        """The version that a rollback would serve."""
        return self.versions[self.shop.app.status()["previous"]]


def seconds(ended: Ended) -> float:
    assert ended.ok().result["outcome"] == "live"
    return float(ended.result["seconds"]["total"])


@pytest.fixture(scope="module")
def machine(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if reason := harness.why_no_disk():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("cuts")
    with harness.server(debian, folder, packages=["nginx", "sudo"], own_disk=True) as server:
        made = Machine(server, folder)
        with made.logged_in():
            made.shop.app.teal("setup").ok()
        yield made


# --- one cut --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """A command during which, or right after which, the power was cut: what the client reported, and how it ended."""

    old: str
    new: str
    heard: tuple[str, ...]
    code: int
    error: str
    disk: Path

    @property
    def phase(self) -> str:
        return self.heard[-1] if self.heard else "before its first word"


def heard(running: RunningCommand) -> tuple[str, ...]:
    """The steps that the client had reported."""
    words = {"started": "in", "done": "after"}
    steps = [event for event in running.events if event["type"] == "step" and event["state"] in words]
    return tuple(f"{words[event['state']]} {event['name']}" for event in steps)


def cut_in(machine: Machine, what: str, part: float) -> Cut:
    """Begins the command and cuts the power at this part of its usual length, or as soon as the command has ended."""
    length = machine.usual(what)
    old = str(machine.shop.app.get()["version"])
    new = machine.previous() if what == "rollback" else machine.new_version()
    with in_background(machine.shop.app, what, "--json") as running:
        running.wait_for(type="step")
        try:
            running.process.wait(part * length if part < 1 else 180)
            steps: tuple[str, ...] = (ENDED,)
        except subprocess.TimeoutExpired:
            steps = heard(running)
        disk = machine.server.cut_power()
        ended = running.ended()
    return Cut(old, new, steps, ended.code, ended.out + ended.err, disk)


# --- what holds after it --------------------------------------------------------------------------------------------


def check_after(machine: Machine, cut: Cut) -> str:
    """Checks what serves after the boot. Returns the version."""
    shop = machine.shop
    wait_until(lambda: shop.answers(cut.old) or shop.answers(cut.new))  # nothing has been typed
    assert machine.server.settled() == "running"
    serves = shop.check_serves(cut.old, cut.new)
    machine.remember(serves)
    assert cut.code == 0 or cut.phase != ENDED, cut
    if cut.code == 0:
        assert serves == cut.new, "what was told to be live is gone"
    elif cut.code == NOT_THERE:
        assert serves == cut.old, "the client said that nothing was changed"
    else:
        assert cut.code == UNKNOWN, cut
    check_status(machine, cut)
    check_whole(shop)
    return serves


def check_status(machine: Machine, cut: Cut) -> None:
    """Checks that `teal status` knows the outcome before any command has recovered."""
    status = machine.shop.app.status()
    assert status["notes"] == []
    live = status["colors"][status["live"]]["release"]
    assert (status["last"]["outcome"] == "live") == (status["last"]["release"] == live), status
    assert machine.versions.get(status["last"]["release"]) in (None, cut.old, cut.new)


def check_whole(shop: Shop) -> None:
    """Checks that every stored release has all of its bytes."""
    for row in shop.app.releases():
        if row["stored"]:
            stored = shop.server.root / "var/lib/teal/shop/releases" / row["release"]
            assert artifact.read(stored).manifest.digest == row["digest"], row


def check_next(machine: Machine) -> None:
    """Checks that the next deploy works and leaves nothing behind."""
    machine.shop.check_settled(machine.deployed())
    home = machine.shop.server.root / "var/lib/teal/shop"
    assert [str(path) for path in home.rglob(".*")] == []
    stored = {path.name for path in (home / "releases").iterdir()}
    assert len(stored) <= KEPT
    assert {path.stem for path in (home / "records").glob("*.files")} == stored


@contextmanager
def disk_is_kept_when_it_fails(machine: Machine, cut: Cut, name: str) -> Iterator[None]:
    """If the block fails, keeps the disk as the cut left it, because the server's own files go."""
    try:
        yield
    except BaseException:
        disk = cut.disk.rename(machine.folder / f"{name}.ext4")
        print(f"\n{name}: {cut}\nthe disk after the cut: {disk}")
        raise


# --- the tests ------------------------------------------------------------------------------------------------------


def test_setup_survives_a_power_cut(machine: Machine) -> None:
    machine.server.cut_power()  # the setup may have been the last command
    machine.server.start()
    assert machine.server.settled() == "running"
    with machine.logged_in():
        machine.new_version()  # with the settings of the setup
        assert machine.shop.app.teal("setup").ok().out == "shop is set up already; nothing to do\n"
        machine.deployed()


@pytest.mark.row("A6", "A7", "A10", "A16")
@pytest.mark.timeout(300 + 60 * CUTS)
def test_old_or_new_release_serves_after_a_power_cut_at_any_moment(
    machine: Machine, counted: Callable[..., None]
) -> None:
    """The cuts are spread evenly over the usual length of a command."""
    outcomes = Counter[tuple[str, str, str]]()
    for number in range(1, CUTS + 1):
        what = "rollback" if number % EACH_ROLLBACK == 3 else "deploy"
        with machine.logged_in():
            cut = cut_in(machine, what, (number - machine.draw.random()) / CUTS * PAST_THE_END)
        with disk_is_kept_when_it_fails(machine, cut, f"cut-{number}"):
            machine.come_up(is_cut_again(number))
            with machine.logged_in():
                serves = check_after(machine, cut)
                check_next(machine)
        outcomes[what, cut.phase, "new" if serves == cut.new else "old"] += 1
    print(table(outcomes))
    ended = Counter(serves for _, _, serves in outcomes.elements())  # check_after allows only these two
    again = len([number for number in range(1, CUTS + 1) if is_cut_again(number)])
    counted(power_cuts=ended.total(), cut_again_in_the_boot=again, ended_old=ended["old"], ended_new=ended["new"])
    assert CUTS < 20 or set(ended) == {"old", "new"}


def is_cut_again(number: int) -> bool:
    return number % EACH_TWICE == 2


def table(outcomes: "Counter[tuple[str, str, str]]") -> str:
    """A table: what was cut, when, and what served then."""
    return "\n".join(["", *(f"{count:5} {', '.join(row)}" for row, count in sorted(outcomes.items()))])


def test_power_cut_check_detects_a_server_side_that_does_not_sync(machine: Machine) -> None:
    """Without this, the test above would show nothing."""
    with machine.logged_in():
        old = machine.deployed()
        new = machine.new_version()
        shutil.copy(Path(__file__).parent / "unsynced_host.py", machine.server.root / "root")
        assert deploy_unsynced(machine.shop).outcome == "live"
        assert machine.shop.answers(new)
        cut = Cut(old, new, (ENDED,), 0, "", machine.server.cut_power())
    machine.server.start()
    with machine.logged_in(), pytest.raises(AssertionError, match="what was told to be live is gone"):
        check_after(machine, cut)


def deploy_unsynced(shop: Shop) -> Result:
    """Deploys with a server side whose fsync(2) does nothing."""

    def harnessed(target: str) -> Transport:
        chosen = choose(target)
        return replace(chosen, python=(*chosen.python, "/root/unsynced_host.py"), server=False)

    with pytest.MonkeyPatch.context() as patch, server_sides_end(patch):
        patch.setenv("PATH", shop.app.world.env["PATH"])
        patch.setattr("teal.pipe.open.choose", harnessed)
        return deploy.deploy(load(shop.app.directory), deploy.DeployOptions(), Quiet(), Account())
