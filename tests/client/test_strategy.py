"""How Teal chooses the way to send a file: values in, a strategy out."""

import pytest

from teal.sending import strategy
from teal.sending.strategy import Line
from teal_host.wire.uploads import Packing

ALL: tuple[Packing, ...] = ("plain", "zlib", "bz2", "lzma")
MB = 1_000_000
LOOPBACK, FAST, USUAL, SLOW = (Line(speed, "measured") for speed in (500e6, 125e6, 6.25e6, 125e3))


@pytest.mark.parametrize(("line", "packing"), [(LOOPBACK, "plain"), (FAST, "plain"), (USUAL, "zlib"), (SLOW, "lzma")])
def test_packing_of_a_whole_file_is_harder_on_a_slower_line(line: Line, packing: str) -> None:
    assert strategy.whole(8 * MB, line, ALL).packing == packing


def test_packing_is_limited_to_those_that_the_server_can_unpack() -> None:
    assert strategy.whole(8 * MB, SLOW, ("plain", "zlib")).packing == "zlib"
    assert strategy.patch(8 * MB, SLOW, ("plain", "zlib")).packing == "zlib"
    assert strategy.patch(8 * MB, SLOW, ALL).packing == "bz2"
    assert strategy.whole(8 * MB, SLOW, ()).packing == "plain"


@pytest.mark.parametrize(("line", "patched"), [(LOOPBACK, False), (FAST, False), (USUAL, True), (SLOW, True)])
def test_patch_is_sooner_than_the_whole_file_only_on_a_slow_line(line: Line, patched: bool) -> None:
    sooner = strategy.patch(8 * MB, line, ALL).seconds < strategy.whole(8 * MB, line, ALL).seconds
    assert sooner == patched


def test_line_speed_is_measured_or_a_careful_guess() -> None:
    assert strategy.line("ssh://a", 7.0) == Line(7.0, "measured")
    assert strategy.line("ssh://a", None) == Line(strategy.UNKNOWN_LINE, "a guess")
    assert strategy.line("local", None) == Line(strategy.THIS_MACHINE, "this machine")


@pytest.mark.parametrize("size", [0, 1, 10**12])
def test_strategy_exists_for_a_file_of_any_size(size: int) -> None:
    assert strategy.whole(size, USUAL, ALL).bytes <= size
    assert strategy.patch(size, USUAL, ALL).seconds >= 0


def test_line_speed_is_doubled_when_packing_took_nearly_all_of_the_time() -> None:
    assert strategy.speed(4 * MB, 2.0, 0.5) == 2 * MB
    assert strategy.speed(4 * MB, 2.0, 1.9) == 4 * MB
