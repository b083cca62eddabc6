"""Which way a file is sent: values in, a way out."""

import pytest

from teal import choice
from teal.choice import Line
from teal_host.wire.uploads import Packing

ALL: tuple[Packing, ...] = ("plain", "zlib", "bz2", "lzma")
MB = 1_000_000
LOOPBACK, FAST, USUAL, SLOW = (Line(speed, "measured") for speed in (500e6, 125e6, 6.25e6, 125e3))


@pytest.mark.parametrize(("line", "packing"), [(LOOPBACK, "plain"), (FAST, "plain"), (USUAL, "zlib"), (SLOW, "lzma")])
def test_whole_is_packed_as_hard_as_the_line_is_slow(line: Line, packing: str) -> None:
    assert choice.whole(8 * MB, line, ALL).packing == packing


def test_only_what_the_server_can_unpack_is_chosen() -> None:
    assert choice.whole(8 * MB, SLOW, ("plain", "zlib")).packing == "zlib"
    assert choice.patch(8 * MB, SLOW, ("plain", "zlib")).packing == "zlib"
    assert choice.patch(8 * MB, SLOW, ALL).packing == "bz2"
    assert choice.whole(8 * MB, SLOW, ()).packing == "plain"


@pytest.mark.parametrize(("line", "patched"), [(LOOPBACK, False), (FAST, False), (USUAL, True), (SLOW, True)])
def test_a_patch_is_made_where_it_is_there_sooner(line: Line, patched: bool) -> None:
    sooner = choice.patch(8 * MB, line, ALL).seconds < choice.whole(8 * MB, line, ALL).seconds
    assert sooner == patched


def test_a_line_is_what_was_measured_or_a_careful_guess() -> None:
    assert choice.line("ssh://a", 7.0) == Line(7.0, "measured")
    assert choice.line("ssh://a", None) == Line(choice.UNKNOWN_LINE, "a guess")
    assert choice.line("local", None) == Line(choice.THIS_MACHINE, "this machine")


@pytest.mark.parametrize("size", [0, 1, 10**12])
def test_any_size_has_a_way(size: int) -> None:
    assert choice.whole(size, USUAL, ALL).bytes <= size
    assert choice.patch(size, USUAL, ALL).seconds >= 0


def test_a_line_that_waited_for_the_packing_is_faster_than_it_seems() -> None:
    assert choice.speed(4 * MB, 2.0, 0.5) == 2 * MB
    assert choice.speed(4 * MB, 2.0, 1.9) == 4 * MB
