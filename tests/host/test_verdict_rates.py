"""How often the watch is wrong, in simulated deploys whose visitors, attackers and failures are known.

`TEAL_CASES` is the number of deploys of each kind. The seeds are fixed, so the same number gives the same rates
everywhere.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from teal_host.state.answers import AnswerCounts, Answered, clearly_worse

CASES = int(os.environ.get("TEAL_CASES", "60"))
WATCH_S, LOOK_S = 10.0, 0.5
Seen = dict[bytes, list[int]]


@dataclass(frozen=True)
class Visitor:
    """A visitor who sends this many requests a second.

    `fails_old` and `fails_new`: the chance that an answer is a failure.
    """

    address: bytes
    per_second: float
    fails_old: float
    fails_new: float


@dataclass(frozen=True)
class Kind:
    """`visitors` makes the visitors of one deploy. `wrong_at_most`: the share of deploys whose verdict may be wrong."""

    visitors: Callable[[random.Random], list[Visitor]]
    is_worse: bool
    wrong_at_most: float


def address(number: int, private: bool = False) -> bytes:
    return bytes((10 if private else 203, 0, number // 256, number % 256))


def site(chance: random.Random, fewest: int, most: int, old: float, new: float) -> list[Visitor]:
    count = chance.randint(fewest, most)
    return [Visitor(address(number), chance.uniform(0.2, 5), old, new) for number in range(count)]


def attacker(old: float, new: float, per_second: float = 3.5) -> Visitor:
    return Visitor(address(9999), per_second, old, new)


def peculiar(chance: random.Random) -> list[Visitor]:
    """Some visitors always get an error, for a reason of their own, such as an old cookie."""
    share = chance.uniform(0.02, 0.1)
    always = [1.0 if chance.random() < share else 0.0 for _ in range(chance.randint(5, 80))]
    return [Visitor(address(number), chance.uniform(0.2, 5), rate, rate) for number, rate in enumerate(always)]


def behind(proxy: bytes, visitors: list[Visitor]) -> list[Visitor]:
    return [Visitor(proxy, visitor.per_second, visitor.fails_old, visitor.fails_new) for visitor in visitors]


def usual(chance: random.Random) -> float:
    return chance.choice([0.0, 0.01, 0.03, 0.1, 0.3])


def as_before(chance: random.Random, fewest: int, most: int) -> list[Visitor]:
    rate = usual(chance)
    return site(chance, fewest, most, rate, rate)


KINDS: Mapping[str, Kind] = {
    "as before, few visitors": Kind(lambda r: as_before(r, 0, 8), False, 0.002),
    "as before, many visitors": Kind(lambda r: as_before(r, 20, 100), False, 0.002),
    "as before, some visitors always fail": Kind(peculiar, False, 0.01),
    "as before, behind a proxy": Kind(lambda r: behind(address(1, private=True), as_before(r, 1, 50)), False, 0.002),
    "as before, everything fails": Kind(lambda r: site(r, 1, 30, 1.0, 1.0), False, 0.0),
    "an attack": Kind(lambda r: [attacker(1, 1), *as_before(r, 0, 8)], False, 0.002),
    "an attack alone": Kind(lambda _: [attacker(1, 1)], False, 0.0),
    "an attack that begins with the switch": Kind(lambda r: [attacker(0, 1, 50), *as_before(r, 0, 8)], False, 0.002),
    "an attack through a proxy": Kind(
        lambda r: behind(address(1, private=True), [attacker(1, 1), *as_before(r, 0, 8)]), False, 0.002
    ),
    "everything fails, few visitors": Kind(lambda r: site(r, 4, 8, 0.0, 1.0), True, 0.02),
    "everything fails, many visitors": Kind(lambda r: site(r, 20, 100, 0.0, 1.0), True, 0.0),
    "everything fails, behind a proxy": Kind(
        lambda r: behind(address(1, private=True), site(r, 4, 50, 0.0, 1.0)), True, 0.02
    ),
    "three of ten fail, many visitors": Kind(lambda r: site(r, 20, 100, 0.01, 0.3), True, 0.02),
    "three of ten fail, one of twenty before": Kind(lambda r: site(r, 20, 100, 0.05, 0.3), True, 0.02),
    "three of ten fail, in an attack through a proxy": Kind(
        lambda r: behind(address(1, private=True), [attacker(1, 1), *site(r, 20, 50, 0.01, 0.3)]), True, 0.02
    ),
    "three of ten fail, in an attack": Kind(lambda r: [attacker(1, 1), *site(r, 20, 100, 0.01, 0.3)], True, 0.02),
}


def rolled_back_after(kind: Kind, chance: random.Random) -> float | None:
    """Seconds after the switch, or None if the release stayed.

    The old color served for half a second to three seconds.
    """
    visitors = kind.visitors(chance)
    old: Seen = {}
    new: Seen = {}
    for visitor in visitors:
        ask(visitor, visitor.fails_old, chance, old, chance.uniform(0.5, 3.0))
    passed_s = 0.0
    while passed_s < WATCH_S:
        passed_s += LOOK_S
        for visitor in visitors:
            ask(visitor, visitor.fails_new, chance, new, LOOK_S)
        if clearly_worse(counts(new), counts(old)):
            return passed_s
    return None


def ask(visitor: Visitor, fails: float, chance: random.Random, seen: Seen, seconds: float) -> None:
    expected = visitor.per_second * seconds
    asked = int(expected) + (chance.random() < expected % 1)
    if asked:
        row = seen.setdefault(visitor.address, [0, 0])
        row[0] += asked
        row[1] += sum(chance.random() < fails for _ in range(asked))


def counts(seen: Seen) -> AnswerCounts:
    asked, failed = (sum(row[at] for row in seen.values()) for at in (0, 1))
    return AnswerCounts(asked, {500: failed} if failed else {}, {each: Answered(*row) for each, row in seen.items()})


@pytest.mark.row("E18")
@pytest.mark.parametrize("name", KINDS)
def test_verdict_of_the_watch_is_seldom_wrong(name: str, counted: Callable[..., None]) -> None:
    kind, ends = KINDS[name], Counter[bool]()
    seconds: list[float] = []
    for case in range(CASES):
        after = rolled_back_after(kind, random.Random(f"{name} {case}"))
        ends[(after is not None) == kind.is_worse] += 1
        seconds += [after] if after else []
    counted(**{f"wrong_of_{CASES:,}": ends[False]})
    assert ends[False] <= max(1, kind.wrong_at_most * CASES) * bool(kind.wrong_at_most), ends
    if kind.is_worse:
        assert sorted(seconds)[len(seconds) // 2] <= WATCH_S / 2, "half of them are rolled back soon"
