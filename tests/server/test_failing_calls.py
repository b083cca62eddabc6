"""On a server, strace(1) lets the n-th system call of each kind that changes files fail, for n = 1, 2, …

The calls need no announcement, so this also finds acts that nobody thought of. The old or the new release serves, what
Teal reports is true, and the next command works.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from server.failing import (
    BEYOND,
    BROKEN,
    CALLS,
    EVERY,
    FULL,
    KILLED,
    Point,
    Round,
    a_deploy,
    a_rollback,
    hits,
    recovery_with_failing,
    traceable_shop,
    with_failing,
)
from server.shop import Shop
from teal.ground.errors import CannotReach, ContactLost, HostFailed, TealError

HOW = {"killed": KILLED, "full": FULL, "broken": BROKEN}
SOME = {"killed": "rename", "full": "symlink", "broken": "fsync"}  # in CI
SOON = {"deadline_s": 5}  # so long recovery waits for a sick release, in each round
TIMEOUT = pytest.mark.timeout(7200 if EVERY else 1800)


@pytest.fixture(scope="module")
def shop(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with traceable_shop(debian, tmp_path_factory.mktemp("failing")) as shop:
        shop.deployed()
        shop.deployed()  # both colors exist, so every later deploy makes the same calls
        yield shop


def check_told(shop: Shop, error: TealError | None, old: str, new: str) -> None:
    serves = shop.check_serves(old, new)
    if error is None:
        assert serves == new
    elif isinstance(error, HostFailed) and error.exit_code != 10:
        assert serves == old, (error.exit_code, error.message)
    else:
        assert isinstance(error, HostFailed | CannotReach | ContactLost)


def failing_deploy(shop: Shop, point: Point) -> Round:
    old, new = shop.deployed(), shop.new_version()
    done = with_failing(shop, point, a_deploy(shop))
    check_told(shop, done.error, old, new)
    return done


def failing_rollback(shop: Shop, point: Point) -> Round:
    old, new = shop.deployed(), shop.deployed()
    done = with_failing(shop, point, a_rollback(shop))
    check_told(shop, done.error, new, old)
    return done


@dataclass(frozen=True)
class Interrupted:
    """A deploy that was killed at the rename which switches the link, or some renames later.

    Then its release may turn sick.
    """

    after: int
    sickens: bool = False

    def let_it(self, shop: Shop) -> tuple[str, str]:
        """The version that was live, and the version that the deploy brings."""
        old = shop.new_version()
        shop.config(health=SOON if self.sickens else {})
        watched = with_failing(shop, Point("rename", BEYOND, KILLED), a_deploy(shop))
        (turn,) = (number for number, call in enumerate(watched.calls, 1) if '/shop/live")' in call)
        new = shop.new_version()
        assert with_failing(shop, Point("rename", turn + self.after, KILLED), a_deploy(shop)).hit
        if self.sickens:
            shop.app.get("/sicken")
        return old, new


INTERRUPTED = {"undone": Interrupted(0), "kept": Interrupted(1), "turned back": Interrupted(1, sickens=True)}
EACH = list(itertools.product(INTERRUPTED, HOW) if EVERY else zip(INTERRUPTED, HOW, strict=True))


def failing_recovery(shop: Shop, point: Point, interrupted: Interrupted) -> Round:
    old, new = interrupted.let_it(shop)
    shop.check_serves(new if interrupted.after else old)
    done = recovery_with_failing(shop, point)
    if done.hit:
        shop.check_serves(old, new)
    else:
        shop.check_settled(old if interrupted.sickens or not interrupted.after else new)
    return done


def check_each(shop: Shop, calls: Sequence[str], how: str, round_: Callable[[Point], Round]) -> dict[str, int]:
    """Lets each call of these kinds fail.

    The next deploy always works. Returns how many calls of each kind were hit.
    """

    def settled(point: Point) -> Round:
        done = round_(point)
        shop.check_settled(shop.deployed())
        return done

    def of_a_kind(call: str) -> int:
        return hits(lambda number: settled(Point(call, number, HOW[how])))

    return {call: count for call in calls if (count := of_a_kind(call))}


@pytest.mark.row("A1", "A2", "A3", "A13", "F1", "F2")
@TIMEOUT
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("story", [failing_deploy, failing_rollback], ids=["deploy", "rollback"])
def test_old_or_new_release_serves_when_the_nth_file_call_fails(
    shop: Shop, story: Callable[[Shop, Point], Round], how: str, counted: Callable[..., None]
) -> None:
    reached = check_each(shop, CALLS if EVERY else [SOME[how]], how, lambda point: story(shop, point))
    counted(**reached)
    assert sum(reached.values()) >= (20 if EVERY else 1)


@pytest.mark.row("A1", "F2", "A13")
@TIMEOUT
@pytest.mark.parametrize(("what", "how"), EACH, ids=[f"recovery {what}-{how}" for what, how in EACH])
def test_recovery_is_completed_by_the_next_command_when_its_nth_file_call_fails(
    shop: Shop, what: str, how: str, counted: Callable[..., None]
) -> None:
    interrupted = INTERRUPTED[what]
    calls = CALLS if EVERY else ["fsync"]
    reached = check_each(shop, calls, how, lambda point: failing_recovery(shop, point, interrupted))
    counted(**reached)
    assert sum(reached.values()) >= (3 if EVERY else 1)
