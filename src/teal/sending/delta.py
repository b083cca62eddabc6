"""Makes a patch: where does each part of a new file come from in an older one? (The format: `wire/patch`.)

A linker mostly moves code. So the two files are laid side by side at a distance. As long as most bytes are equal, the
distance stays, and the other bytes are written as a difference. Where they are not, another distance is searched: one
of the last, or one at which 16 bytes of the new file occur in the older one. bsdiff sorts all suffixes of the older
file instead, which takes ten times as long and 17 times its size in memory; for a rebuilt program its patches are of
the same size. zstd with the older file as prefix is as fast, its patches are four times as large, and the server would
need zstd.
"""

from collections.abc import Callable, Iterator
from mmap import mmap

from teal_host.wire.patch import ADD, CHUNK, LENGTHS, NEW, SAME, SEEK, number, subtract

Bytes = bytes | mmap
Stretch = tuple[
    int, int | None
]  # where it begins in the new file, and its distance to the same bytes in the older one, or None

_PAGE = 4096
_FAST = 64 * 1024
_BLOCK = 64  # bytes for which one distance is chosen
_AHEAD = 512  # bytes that are compared to choose it
_WORD = 16  # bytes that are searched for
_KEEP = 0.7  # so much equal, and no better distance is searched
_USE = 0.4  # so little equal, and the bytes are sent as they are
_AS_THEY_ARE = 0.62  # what a byte sent as it is counts, compared with an equal one
_LAST = 12  # distances that are tried first
_ENTRIES = 500_000  # of the index, 130 bytes each
_MISSES = 24  # after so many searches nearby the index is made
_PATIENCE = 2_000  # so many searches in any case, each a quarter of a millisecond
_MOST_MISSES = 1 / 512  # and so many more a byte
_NEARBY = 64 * 1024


def make(old: Bytes, new: Bytes, start: int = 0, too_late: Callable[[], bool] = lambda: False) -> Iterator[bytes]:
    """The patch that makes `new` from `start` on, chunk by chunk, not yet compressed. Raises GivenUp."""
    for chunk in _written(old, new, start, _Aligner(old, new, too_late).stretches(start)):
        yield chunk
        _check_time(too_late)


def _written(old: Bytes, new: Bytes, start: int, stretches: list[Stretch]) -> Iterator[bytes]:
    writer = _Writer(old, new)
    following = [*(at for at, _ in stretches[1:]), len(new)]
    for (at, distance), end in zip(stretches, following, strict=True):
        edges = [*range(at + CHUNK - (at - start) % CHUNK, end, CHUNK), end]
        for low, high in zip([at, *edges], edges, strict=False):
            writer.write(low, high, distance)
            if (high - start) % CHUNK == 0 or high == len(new):
                yield writer.chunk()


class GivenUp(Exception):
    """Why a patch is not worth making."""


def _check_time(too_late: Callable[[], bool]) -> None:
    if too_late():
        raise GivenUp("making a patch would take too long")


class _Aligner:
    def __init__(self, old: Bytes, new: Bytes, too_late: Callable[[], bool]) -> None:
        self._old, self._new, self._too_late = old, new, too_late
        self._index: dict[bytes, int] = {}
        self._misses = 0
        self._last = [0]

    def stretches(self, start: int) -> list[Stretch]:
        """The new file as parts of one distance each."""
        at, distance = start, 0
        stretches: list[Stretch] = [(start, 0)]
        while at < len(self._new):
            if stretches[-1][1] is not None:
                at = self._follow(at, distance)
            if at >= len(self._new):
                break
            chosen = self._choose(at, distance)
            if self._misses > _PATIENCE + (at - start) * _MOST_MISSES:
                raise GivenUp("too different from what the server has")
            _check_time(self._too_late)
            if chosen != stretches[-1][1]:
                self._add(stretches, at, chosen)
            if chosen is not None:
                distance = chosen
                self._last = [chosen, *(other for other in self._last if other != chosen)][:_LAST]
            at += _BLOCK
        return stretches

    def _follow(self, at: int, distance: int) -> int:
        """The place from which on the two files are no longer equal enough."""
        old, new = self._old, self._new
        if at + distance < 0:
            return at
        end = min(len(new), len(old) - distance)
        while at + _BLOCK <= end:
            size = min(_FAST, end - at)
            if new[at : at + size] == old[at + distance : at + distance + size]:
                at += size
                continue
            size = min(2 * _PAGE, size)
            differ = _differ(new[at : at + size], old[at + distance : at + distance + size])
            for start in range(0, size - _BLOCK + 1, _BLOCK):
                if differ.count(0, start, start + _BLOCK) < _KEEP * _BLOCK:
                    return at + start
            at += size - size % _BLOCK
        return at

    def _choose(self, at: int, distance: int) -> int | None:
        size, block = min(_AHEAD, len(self._new) - at), min(_BLOCK, len(self._new) - at)
        best, most = distance, self._alike(at, size, distance)
        if most >= _KEEP * size and self._alike(at, block, distance) >= _USE * block:
            return distance
        for others in (self._last, self._candidates(at, distance)):
            for other in others:
                alike = self._alike(at, size, other)
                if alike > most:
                    best, most = other, alike
            if most >= 0.9 * size:
                return best
        return best if most >= _USE * size or self._alike(at, block, best) >= _USE * block else None

    def _alike(self, at: int, size: int, distance: int) -> int:
        start = at + distance
        if start < 0:
            return 0
        new, old = self._new[at : at + size], self._old[start : start + size]
        if new == old:
            return size
        return _differ(new[: len(old)], old).count(0)

    def _candidates(self, at: int, distance: int) -> Iterator[int]:
        """Other distances at which some bytes are equal: first nearby, and after many misses everywhere."""
        self._misses += 1
        if self._misses > _MISSES:
            yield from self._everywhere(at)
            return
        low = max(0, at + distance - _NEARBY)
        for start in range(at, min(at + _BLOCK, len(self._new) - _WORD), _WORD):
            place = self._old.find(self._new[start : start + _WORD], low, low + 2 * _NEARBY)
            if place >= 0:
                yield place - start

    def _everywhere(self, at: int) -> Iterator[int]:
        index = self._indexed()
        tried: set[int] = set()
        for start in range(at, min(at + _BLOCK, len(self._new) - _WORD)):
            place = index.get(self._new[start : start + _WORD])
            if place is not None and place - start not in tried:
                tried.add(place - start)
                yield place - start
                if len(tried) == 6:
                    return

    def _indexed(self) -> dict[bytes, int]:
        """Words of the older file, and where each occurs first."""
        if not self._index:
            size = len(self._old)
            step = max(_WORD, size // _ENTRIES)
            self._index = {self._old[at : at + _WORD]: at for at in range((size - _WORD) // step * step, -1, -step)}
        return self._index

    def _add(self, stretches: list[Stretch], at: int, distance: int | None) -> None:
        """Begin a stretch near this place, exactly where the fewest bytes differ."""
        before, previous = stretches[-1]
        low, high = max(before, at - 2 * _BLOCK), min(at + 2 * _BLOCK, len(self._new))
        before_counts, after_counts = self._counts(low, high, previous), self._counts(low, high, distance)
        alike = most = sum(after_counts)
        best = low
        for edge, (count_before, count_after) in enumerate(zip(before_counts, after_counts, strict=True), low + 1):
            alike += count_before - count_after
            if alike > most:
                best, most = edge, alike
        if best == before:
            stretches.pop()
        stretches.append((best, distance))

    def _counts(self, low: int, high: int, distance: int | None) -> list[float]:
        """What each byte counts when it is taken from this distance."""
        if distance is None or low + distance < 0 or high + distance > len(self._old):
            return [_AS_THEY_ARE] * (high - low)
        differ = _differ(self._new[low:high], self._old[low + distance : high + distance])
        return [0.0 if byte else 1.0 for byte in differ]


class _Writer:
    """Collects the operations of one chunk."""

    def __init__(self, old: Bytes, new: Bytes) -> None:
        self._old, self._new = old, new
        self._at = 0  # in the older file
        self._begin()

    def _begin(self) -> None:
        self._ops: list[tuple[int, int]] = []
        self._added: list[bytes] = []
        self._fresh: list[bytes] = []

    def write(self, start: int, end: int, distance: int | None) -> None:
        if distance is None:
            self._as_it_is(start, end)
            return
        first = min(max(start, -distance), end)
        last = max(first, min(end, len(self._old) - distance))
        self._as_it_is(start, first)
        if last > first:
            self._from_old(first, last, distance)
        self._as_it_is(last, end)

    def chunk(self) -> bytes:
        ops = b"".join(number(count << 2 | what) for what, count in self._ops)
        added, fresh = b"".join(self._added), b"".join(self._fresh)
        self._begin()
        return LENGTHS.pack(len(ops), len(added), len(fresh)) + ops + added + fresh

    def _from_old(self, start: int, end: int, distance: int) -> None:
        away = start + distance - self._at
        if away:
            self._ops.append((SEEK, away << 1 if away > 0 else -away << 1 | 1))
        self._at = end + distance
        while start < end:
            stop = min(end, start + _PAGE)
            new, old = self._new[start:stop], self._old[start + distance : stop + distance]
            self._count(SAME if new == old else ADD, stop - start)
            if new != old:
                self._added.append(subtract(new, old))
            start = stop

    def _as_it_is(self, start: int, end: int) -> None:
        if end > start:
            self._count(NEW, end - start)
            self._fresh.append(self._new[start:end])

    def _count(self, what: int, count: int) -> None:
        if self._ops and self._ops[-1][0] == what:
            count += self._ops.pop()[1]
        self._ops.append((what, count))


def _differ(new: bytes, old: bytes) -> bytes:
    """Zero where the two are equal."""
    return (int.from_bytes(new, "little") ^ int.from_bytes(old, "little")).to_bytes(len(new), "little")
