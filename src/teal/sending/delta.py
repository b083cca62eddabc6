"""Makes a patch: where does each part of a new file come from in an older one? (What a patch is: `wire/patch`.)

A linker mostly moves things. So the two files are laid side by side, and as long as most bytes are the same they stay
so (the others are told as a difference); where they are not, another distance is looked for: one of the last, or where
16 bytes of the new file are in the older one. bsdiff sorts all suffixes of the older file for that, which takes ten
times as long and 17 times its size in memory; for a program that was built again its patches are of the same size. The
zstd way (the older file as prefix) is as quick, its patches are four times as large, and the server would need zstd.
"""

from collections.abc import Callable, Iterator
from mmap import mmap

from teal_host.wire.patch import ADD, CHUNK, LENGTHS, NEW, SAME, SEEK, number, subtract

Bytes = bytes | mmap
Stretch = tuple[
    int, int | None
]  # from where on in the new file, and how far away it is in the older one: None: nowhere

_PAGE = 4096
_FAST = 64 * 1024
_BLOCK = 64  # bytes for which one distance is chosen
_AHEAD = 512  # bytes that are looked at to choose it
_WORD = 16  # bytes that are looked for
_KEEP = 0.7  # so much alike, and the distance is kept without a look for a better one
_USE = 0.4  # so little alike, and the bytes are sent as they are
_AS_THEY_ARE = 0.62  # what a byte sent as it is counts, against one that is the same
_LAST = 12  # distances that are tried first
_ENTRIES = 500_000  # of the index, 130 bytes each
_MISSES = 24  # so many looks nearby, then the index is made
_PATIENCE = 2_000  # such looks in any case, each a quarter of a millisecond
_MOST_MISSES = 1 / 512  # and so many more a byte
_NEARBY = 64 * 1024


def make(old: Bytes, new: Bytes, start: int = 0, too_late: Callable[[], bool] = lambda: False) -> Iterator[bytes]:
    """The patch that gives `new` from `start` on, chunk by chunk, not yet compressed. Raises GivenUp."""
    for chunk in _written(old, new, start, _Aligner(old, new, too_late).stretches(start)):
        yield chunk
        _refuse(too_late)


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
    """A patch is not worth its making, and why."""


def _refuse(too_late: Callable[[], bool]) -> None:
    if too_late():
        raise GivenUp("making a patch would take too long")


class _Aligner:
    def __init__(self, old: Bytes, new: Bytes, too_late: Callable[[], bool]) -> None:
        self._old, self._new, self._too_late = old, new, too_late
        self._index: dict[bytes, int] = {}
        self._misses = 0
        self._last = [0]

    def stretches(self, start: int) -> list[Stretch]:
        """The new file as parts that lie at one distance each."""
        at, distance = start, 0
        found: list[Stretch] = [(start, 0)]
        while at < len(self._new):
            if found[-1][1] is not None:
                at = self._follow(at, distance)
            if at >= len(self._new):
                break
            chosen = self._choose(at, distance)
            if self._misses > _PATIENCE + (at - start) * _MOST_MISSES:
                raise GivenUp("too different from what the server has")
            _refuse(self._too_late)
            if chosen != found[-1][1]:
                self._add(found, at, chosen)
            if chosen is not None:
                distance = chosen
                self._last = [chosen, *(other for other in self._last if other != chosen)][:_LAST]
            at += _BLOCK
        return found

    def _follow(self, at: int, distance: int) -> int:
        """Up to where the two files are no more alike enough."""
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
        """Other distances at which some bytes are the same; nearby as long as that is enough, then everywhere."""
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
        """Words of the older file, and where they are (first)."""
        if not self._index:
            size = len(self._old)
            step = max(_WORD, size // _ENTRIES)
            self._index = {self._old[at : at + _WORD]: at for at in range((size - _WORD) // step * step, -1, -step)}
        return self._index

    def _add(self, found: list[Stretch], at: int, distance: int | None) -> None:
        """A stretch begins about here: exactly where the fewest bytes differ."""
        before, previous = found[-1]
        low, high = max(before, at - 2 * _BLOCK), min(at + 2 * _BLOCK, len(self._new))
        one, other = self._counts(low, high, previous), self._counts(low, high, distance)
        alike = most = sum(other)
        best = low
        for place, (left, right) in enumerate(zip(one, other, strict=True), low + 1):
            alike += left - right
            if alike > most:
                best, most = place, alike
        if best == before:
            found.pop()
        found.append((best, distance))

    def _counts(self, low: int, high: int, distance: int | None) -> list[float]:
        """What each byte counts when it is taken from there."""
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


def _differ(one: bytes, other: bytes) -> bytes:
    """Zero where they are the same."""
    return (int.from_bytes(one, "little") ^ int.from_bytes(other, "little")).to_bytes(len(one), "little")
