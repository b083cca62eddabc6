"""On a server, the n-th call of the kernel that changes a file fails, for n = 1, 2, …: strace(1) sees to that.

No act has to be announced for this, so it also finds what nobody has thought of. Old or new serves, what is told is
true, and the next command works.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

import servers
from crash.scenes import server_sides_end
from server.shop import Shop
from servers.reach import one_login, run
from teal import deploy
from teal.config.read import load
from teal.ended import Account
from teal.errors import CannotReach, ContactLost, HostFailed, TealError
from teal.transports import Transport, choose
from teal.ui.plain import Quiet
from world import at_server

CALLS = "fsync,rename,symlink,mkdir,unlink,unlinkat,rmdir,chmod,fchmod,ftruncate,pwrite64"
STEP = 1 if os.environ.get("TEAL_EVERY_ACT") else 25
KILLED, FULL, BROKEN = "signal=SIGKILL", "error=ENOSPC", "error=EIO"
TRACE = "root/trace"


@pytest.fixture(scope="module")
def shop(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("failing")
    with servers.server(debian, folder, packages=["nginx", "sudo"]) as server, one_login(server) as config:
        run(server, "apt-get", "install", "-y", "strace")
        shop = Shop(server, at_server(folder / "home", server, config).app("shop"))
        shop.config()
        shop.app.teal("setup").ok()
        yield shop


@dataclass(frozen=True)
class Round:
    hit: bool
    error: TealError | None


def with_failing(shop: Shop, number: int, how: str, story: Callable[[], object]) -> Round:
    """A command whose server side is sent, into a Python of which strace lets calls fail: one, or all from then on."""
    trace = shop.server.root / TRACE
    trace.unlink(missing_ok=True)
    when = f"{number}+" if how == FULL else str(number)
    strace = ("strace", "-qq", "-o", f"/{TRACE}", "-e", f"trace={CALLS}", "-e", f"inject={CALLS}:{how}:when={when}")

    def traced(target: str) -> Transport:
        chosen = choose(target)
        return replace(chosen, python=(*strace, *chosen.python), server=False)

    error = None
    with pytest.MonkeyPatch.context() as patch, server_sides_end(patch):
        patch.setenv("PATH", shop.app.world.env["PATH"])
        patch.setattr(deploy, "choose", traced)
        try:
            story()
        except TealError as raised:
            error = raised
    told = trace.read_text() if trace.exists() else ""
    return Round("(INJECTED)" in told or "killed by SIGKILL" in told, error)


def a_deploy(shop: Shop) -> Callable[[], object]:
    return lambda: deploy.deploy(load(shop.app.directory), deploy.Wish(), Quiet(), Account())


def a_rollback(shop: Shop) -> Callable[[], object]:
    return lambda: deploy.rollback(load(shop.app.directory), None, 0, Quiet(), Account())


def check_told(shop: Shop, error: TealError | None, old: str, new: str) -> None:
    serves = shop.check_serves(old, new)
    if error is None:
        assert serves == new
    elif isinstance(error, HostFailed) and error.exit_code != 10:
        assert serves == old, (error.exit_code, error.message)
    else:
        assert isinstance(error, HostFailed | CannotReach | ContactLost)


@pytest.mark.row("A1", "A2", "A3", "A13", "F1", "F2")
@pytest.mark.timeout(7200 if STEP == 1 else 1800)
@pytest.mark.parametrize("how", [KILLED, FULL, BROKEN], ids=["killed", "full", "broken"])
@pytest.mark.parametrize("what", ["deploy", "rollback"])
def test_the_nth_call_fails_and_old_or_new_serves(
    shop: Shop, what: str, how: str, counted: Callable[..., None]
) -> None:
    shop.serving()
    number = 1
    while True:
        old = shop.deployed()
        if what == "deploy":
            new = shop.new_version()
            done = with_failing(shop, number, how, a_deploy(shop))
        else:
            new, old = old, shop.deployed()
            done = with_failing(shop, number, how, a_rollback(shop))
        check_told(shop, done.error, old, new)
        shop.check_settled(shop.deployed())
        if not done.hit:
            break
        number += STEP
    counted(calls_failed=len(range(1, number, STEP)), calls_in_all_about=number - 1)
    assert number > (20 if what == "deploy" else 5)
