"""A command on a booted server while strace(1) lets the n-th system call of a kind fail."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from crash.scenes import server_sides_end
from harness.ssh_access import run
from server.shop import Shop, open_shop
from teal.config.read import load
from teal.ground.errors import TealError
from teal.stories import deploy
from teal.stories.result_json import Account
from teal.stories.rollback import RollbackOptions, rollback
from teal.transports import Transport, choose
from teal.ui.plain import Quiet

KILLED, FULL, BROKEN = "signal=SIGKILL", "error=ENOSPC", "error=EIO"
CHANGES = ("rename", "symlink", "mkdir", "unlink", "unlinkat", "rmdir", "chmod", "fchmod", "ftruncate", "pwrite64")
CALLS = ("fsync", *CHANGES)  # strace counts each kind separately
EVERY = bool(os.environ.get("TEAL_EVERY_ACT"))
STEP = 1 if EVERY else 25
BEYOND = 60_000  # no command makes so many; strace takes up to 65,535
TRACE = "root/trace"


@dataclass(frozen=True)
class Point:
    """The n-th call of a kind, and how it fails."""

    call: str
    number: int
    how: str

    def strace(self) -> tuple[str, ...]:
        """The strace command to put before the command. On a full disk, every later call fails, too."""
        when = f"{self.number}{'+' if self.how == FULL else ''}"
        inject = f"inject={self.call}:{self.how}:when={when}"
        return ("strace", "-qq", "-o", f"/{TRACE}", "-e", f"trace={self.call}", "-e", inject)


@dataclass(frozen=True)
class Round:
    """`calls` has the calls as strace writes them."""

    calls: tuple[str, ...]
    error: TealError | None = None

    @property
    def hit(self) -> bool:
        return any("(INJECTED)" in call or "killed by SIGKILL" in call for call in self.calls)


@contextmanager
def traceable_shop(debian: int, folder: Path) -> Iterator[Shop]:
    with open_shop(debian, folder) as shop:
        run(shop.server, "apt-get", "install", "-y", "strace")
        yield shop


def with_failing(shop: Shop, point: Point, story: Callable[[], object]) -> Round:
    """Runs a command whose server side is sent into a Python under strace."""

    def traced(target: str) -> Transport:
        chosen = choose(target)
        return replace(chosen, python=(*point.strace(), *chosen.python), server=False)

    trace = _empty(shop)
    error = None
    with pytest.MonkeyPatch.context() as patch, server_sides_end(patch):
        patch.setenv("PATH", shop.app.world.env["PATH"])
        patch.setattr("teal.pipe.open.choose", traced)
        try:
            story()
        except TealError as raised:
            error = raised
    return Round(_lines(trace), error)


def recovery_with_failing(shop: Shop, point: Point) -> Round:
    """Runs what a boot runs for the app."""
    trace = _empty(shop)
    unit = (shop.server.root / "etc/systemd/system/teal-shop-recover.service").read_text()
    (command,) = (line.partition("=")[2].split() for line in unit.splitlines() if line.startswith("ExecStart="))
    done = shop.server.run(*point.strace(), *command)
    ended = Round(_lines(trace))
    assert ended.hit or done.returncode == 0, done.stderr
    return ended


def _empty(shop: Shop) -> Path:
    trace = shop.server.root / TRACE
    trace.unlink(missing_ok=True)
    return trace


def _lines(trace: Path) -> tuple[str, ...]:
    """The calls in the trace, without the signals that strace reports between them."""
    lines = trace.read_text().splitlines() if trace.exists() else []
    return tuple(line for line in lines if not line.startswith("--- "))


def a_deploy(shop: Shop) -> Callable[[], object]:
    return lambda: deploy.deploy(load(shop.app.directory), deploy.DeployOptions(), Quiet(), Account())


def a_rollback(shop: Shop) -> Callable[[], object]:
    return lambda: rollback(load(shop.app.directory), RollbackOptions(), Quiet(), Account())


def hits(round_: Callable[[int], Round]) -> int:
    """Counts the calls that were hit: the first, the next, … until a round is not hit. CI hits only some of them."""
    return next(count for count in itertools.count() if not round_(1 + count * STEP).hit)
