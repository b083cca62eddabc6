"""Patches that are made in advance equal those that would be made later; a wrong guess costs only its time."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from teal.building import artifact as artifacts
from teal.building.artifact import Artifact
from teal.sending import cache, delta
from teal.sending.cache import Sent
from teal.sending.patches import NoPatch, Patch, Patches
from teal.sending.strategy import Line
from teal.sending.upload import is_large
from teal_host.wire.manifest import Entry
from teal_host.wire.uploads import Packing, PatchBase

SLOW = Line(125_000, "measured")
ALL: tuple[Packing, ...] = ("plain", "zlib", "bz2", "lzma")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts the patches that are made."""
    counted: list[int] = []
    make = delta.make

    def counting(
        old: delta.Bytes, new: delta.Bytes, start: int = 0, too_late: Callable[[], bool] = lambda: False
    ) -> Iterator[bytes]:
        counted.append(start)
        return make(old, new, start, too_late)

    monkeypatch.setattr(delta, "make", counting)
    yield counted


def program(folder: Path, version: bytes) -> Artifact:
    folder.mkdir(exist_ok=True)
    noise = random.Random(5).randbytes(200_000)
    (folder / "app").write_bytes(noise[:100_000] + version + noise[100_000:])
    return artifacts.read(folder / "app")


def entry(of: Artifact) -> Entry:
    return of.manifest.entries[0]


def base(of: Artifact) -> PatchBase:
    """A base that the server has, and that is in the cache."""
    cache.keep([Sent(of.root / entry(of).path, entry(of).size, entry(of).sha256)])
    return PatchBase("app", entry(of).sha256, entry(of).size)


def test_patch_made_ahead_is_not_made_again(tmp_path: Path, made: list[int]) -> None:
    old, new = program(tmp_path / "old", b"one"), program(tmp_path / "new", b"another")
    ahead, later = Patches(new, SLOW), Patches(new, SLOW)
    ahead.prepare([base(old)], lambda: False)
    assert made == [0]
    patch = ahead.find(entry(new), entry(new).size, [base(old)], ALL)
    assert made == [0]
    assert isinstance(patch, Patch)
    assert patch == later.find(entry(new), entry(new).size, [base(old)], ALL)
    assert (ahead.made, later.made) == (False, True)


def test_patch_made_ahead_for_another_base_is_not_used(tmp_path: Path, made: list[int]) -> None:
    old, other, new = (program(tmp_path / name, name.encode()) for name in ("old", "other", "new"))
    patches = Patches(new, SLOW)
    patches.prepare([base(other)], lambda: False)
    patch = patches.find(entry(new), entry(new).size, [base(old)], ALL)
    assert isinstance(patch, Patch)
    assert patch.base == base(old)
    assert len(made) == 2
    assert isinstance(patches.find(entry(new), entry(new).size, [PatchBase("app", "0" * 64, 9)], ALL), NoPatch)


def test_patch_made_ahead_is_not_used_for_the_rest_of_a_file_or_another_packing(
    tmp_path: Path, made: list[int]
) -> None:
    old, new = program(tmp_path / "old", b"one"), program(tmp_path / "new", b"another")
    patches = Patches(new, SLOW)
    patches.prepare([base(old)], lambda: False)
    rest = patches.find(entry(new), entry(new).size - 50_000, [base(old)], ALL)
    plainer = patches.find(entry(new), entry(new).size, [base(old)], ("plain", "zlib"))
    assert made == [0, 50_000, 0]
    assert isinstance(rest, Patch)
    assert isinstance(plainer, Patch)
    assert plainer.packing == "zlib"


def test_patch_is_not_made_ahead_when_that_is_enough_or_the_file_is_unchanged(tmp_path: Path, made: list[int]) -> None:
    old, new = program(tmp_path / "old", b"one"), program(tmp_path / "new", b"another")
    Patches(new, SLOW).prepare([base(old)], lambda: True)
    Patches(old, SLOW).prepare([base(old)], lambda: False)
    assert made == []


def test_patch_slower_than_the_whole_file_is_given_up_once_it_is_waited_for(tmp_path: Path) -> None:
    old, new = program(tmp_path / "old", b"one"), program(tmp_path / "new", b"another")
    size, fast = entry(new).size, Line(1e12, "measured")
    waited = iter([False, True])
    hurried, patient = Patches(new, fast), Patches(new, fast)
    hurried.prepare([base(old)], lambda: next(waited, True))
    patient.prepare([base(old)], lambda: False)
    refused = hurried.find(entry(new), size, [base(old)], ALL)
    assert isinstance(refused, NoPatch)
    assert "too long" in refused.why
    # the patch is ready, so sending it is faster
    assert isinstance(patient.find(entry(new), size, [base(old)], ALL), Patch)
    assert not hurried.made


def test_debug_sections_are_blamed_only_for_a_large_or_abandoned_patch() -> None:
    base = PatchBase("app", "0" * 64, 1_000_000)
    assert not is_large(Patch(base, "bz2", [b"x" * 2_000]), 1_000_000)
    assert is_large(Patch(base, "bz2", [b"x" * 200_000]), 1_000_000)
    assert is_large(NoPatch("too different from what the server has"), 1_000_000)
    assert not is_large(NoPatch("faster than a patch", tried=False), 1_000_000)
