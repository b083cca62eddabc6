"""A patch yields the new file, byte for byte. Any other input is refused in little time and memory."""

import bz2
import contextlib
import io
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teal.sending import delta
from teal_host.wire import patch
from teal_host.wire.patch import ADD, CHUNK, LENGTHS, NEW, SAME, SEEK, PatchError, number

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
OLD = random.Random(1).randbytes(60_000)


def applied(raw: bytes, old: bytes, size: int, folder: Path) -> bytes:
    base = folder / "base"
    base.write_bytes(old)
    with base.open("rb") as file:
        return b"".join(patch.apply(io.BytesIO(raw), file, size))


def op(what: int, count: int) -> bytes:
    return number(count << 2 | what)


def chunk(ops: bytes, added: bytes = b"", new: bytes = b"") -> bytes:
    return LENGTHS.pack(len(ops), len(added), len(new)) + ops + added + new


@st.composite
def edited(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A file, and another file made of its parts: moved, changed or doubled, with new bytes added."""
    old = random.Random(draw(st.integers(0, 99))).randbytes(draw(st.integers(0, 9_000)))
    new = b""
    for _ in range(draw(st.integers(0, 8))):
        start, size = draw(st.integers(0, len(old))), draw(st.integers(0, 3_000))
        piece = bytearray(old[start : start + size])
        for place in range(draw(st.integers(0, 50)), len(piece), draw(st.integers(5, 500))):
            piece[place] = (piece[place] + draw(st.integers(0, 3))) % 256
        new += bytes(piece) + draw(st.binary(max_size=300))
    return old, new


@QUICK
@given(edited(), st.floats(0, 1))
def test_patch_gives_the_new_file_from_any_byte_on(tmp_path: Path, files: tuple[bytes, bytes], share: float) -> None:
    old, new = files
    start = int(len(new) * share)
    raw = b"".join(delta.make(old, new, start))
    assert applied(raw, old, len(new) - start, tmp_path) == new[start:]


@QUICK
@given(st.binary(max_size=500).flatmap(lambda a: st.tuples(st.just(a), st.binary(min_size=len(a), max_size=len(a)))))
def test_patch_adds_back_what_was_subtracted(pair: tuple[bytes, bytes]) -> None:
    old, new = pair
    difference = patch.subtract(new, old)
    assert difference == bytes((x - y) % 256 for x, y in zip(new, old, strict=True))
    assert patch.add(old, difference) == new


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_patch_spans_several_chunks(tmp_path: Path, size: int) -> None:
    old = random.Random(2).randbytes(size)
    new = old[:1000] + b"inserted" + old[1000:]
    raw = b"".join(delta.make(old, new))
    assert applied(raw, old, len(new), tmp_path) == new
    assert len(bz2.compress(raw)) < 2_000


@pytest.mark.parametrize(("old", "new"), [(b"", b"x" * 5000), (b"x" * 5000, b""), (b"", b""), (b"a", b"a" * 70_000)])
def test_patch_handles_empty_and_repetitive_files(tmp_path: Path, old: bytes, new: bytes) -> None:
    assert applied(b"".join(delta.make(old, new)), old, len(new), tmp_path) == new


def test_delta_gives_up_soon_when_two_files_have_nothing_in_common() -> None:
    began = time.process_time()
    with pytest.raises(delta.GivenUp):
        list(delta.make(random.Random(3).randbytes(4_000_000), random.Random(4).randbytes(4_000_000)))
    assert time.process_time() - began < 5


def test_delta_gives_up_when_it_takes_too_long() -> None:
    with pytest.raises(delta.GivenUp, match="too long"):
        list(delta.make(OLD, OLD + b"new", 0, lambda: True))


@QUICK
@given(st.data())
def test_patch_gives_the_announced_size_or_an_error_when_bits_flip_or_bytes_are_cut(
    tmp_path: Path, data: st.DataObject
) -> None:
    new = OLD[10_000:] + b"new" * 100 + OLD[:9_000]
    raw = bytearray(b"".join(delta.make(OLD, new)))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(raw)))
    try:
        made = applied(bytes(raw[:cut]), OLD, len(new), tmp_path)
    except PatchError:
        return
    assert len(made) == len(new)  # and its hash names it


@QUICK
@given(st.binary(max_size=400), st.integers(0, 3 * CHUNK))
def test_patch_gives_the_announced_size_or_an_error_for_any_bytes(tmp_path: Path, raw: bytes, size: int) -> None:
    with contextlib.suppress(PatchError):
        assert len(applied(raw, OLD, size, tmp_path)) == size


LIES = {
    "before the file": chunk(op(SEEK, 1 << 1 | 1) + op(SAME, 9)),
    "behind the file": chunk(op(SEEK, len(OLD) << 1) + op(SAME, 1)),
    "far behind the file": chunk(op(SEEK, 2**38) + op(SAME, 1)),
    "over its end": chunk(op(SEEK, (len(OLD) - 5) << 1) + op(SAME, 9)),
    "more than the whole": chunk(op(SAME, 100_000_000_000 >> 6)),
    "100 GB": chunk(op(SAME, 100_000_000_000)),
    "new bytes that are not there": chunk(op(NEW, 9), new=b"short"),
    "added bytes that are not there": chunk(op(ADD, 9), added=b"short"),
    "bytes too many": chunk(op(SAME, 1000), new=b"never used"),
    "too little": chunk(op(SAME, 5)),
    "nothing": chunk(b""),
    "a number without end": chunk(b"\xff" * 100),
    "half a number": chunk(op(SAME, 999) + b"\x80"),
    "a chunk of 4 GB": LENGTHS.pack(2**32 - 1, 0, 0),
    "4 GB to add": LENGTHS.pack(1, 2**32 - 1, 0) + b"\0",
    "4 GB of new bytes": LENGTHS.pack(1, 0, 2**32 - 1) + b"\0",
    "no end of the lengths": b"\0" * 5,
    "no byte": b"",
}


@pytest.mark.parametrize("raw", LIES.values(), ids=list(LIES))
def test_patch_is_refused_when_it_lies_about_its_bytes(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(PatchError):
        applied(raw, OLD, 1000, tmp_path)


def test_patch_is_refused_soon_when_its_operations_make_no_byte(tmp_path: Path) -> None:
    """Two million operations that only jump to and fro, in as many chunks as the file has."""
    lazy = chunk((op(SEEK, 2) + op(SEEK, 3)) * 1_000_000)
    base = tmp_path / "base"
    base.write_bytes(OLD)

    class Endless:
        def __init__(self) -> None:
            self._pieces: Iterator[bytes] = iter([lazy, lazy, lazy])
            self._now = io.BytesIO()

        def read(self, size: int) -> bytes:
            piece = self._now.read(size)
            if not piece:
                self._now = io.BytesIO(next(self._pieces))
                piece = self._now.read(size)
            return piece

    began = time.process_time()
    with base.open("rb") as file, pytest.raises(PatchError, match="less than it should"):
        list(patch.apply(Endless(), file, 1000))
    assert time.process_time() - began < 5
