"""The cache between commands only saves work: the cache is bounded and private, and Teal checks what the cache says."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from teal.building import artifact as artifacts
from teal.sending import cache
from teal.sending.cache import Sent


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/teal"


def file(folder: Path, content: bytes) -> Sent:
    path = folder / f"file{len(list(folder.iterdir()))}"
    path.write_bytes(content)
    return Sent(path, len(content), hashlib.sha256(content).hexdigest())


def big(number: int, size: int = 20_000) -> bytes:
    return bytes([number]) * size


def there(home: Path) -> set[str]:
    return {path.name for path in (home / "sent").iterdir()}


def names(sent: Iterable[Sent]) -> set[str]:
    return {sent_file.sha256 for sent_file in sent}


def test_cache_finds_a_sent_file_again(tmp_path: Path, home: Path) -> None:
    sent_file = file(tmp_path, big(1))
    cache.keep([sent_file])
    sent_file.path.unlink()
    cached = cache.find(sent_file.sha256, sent_file.size)
    assert cached is not None
    assert cached.read_bytes() == big(1)
    assert cached.stat().st_mode & 0o777 == 0o600
    assert (home / "sent").stat().st_mode & 0o777 == 0o700
    assert cache.find("0" * 64, 7) is None


@pytest.mark.parametrize("damaged", [big(2), big(1)[:-1], big(1) + b"x", b""])
def test_cache_drops_a_damaged_copy(tmp_path: Path, home: Path, damaged: bytes) -> None:
    sent_file = file(tmp_path, big(1))
    cache.keep([sent_file])
    (home / "sent" / sent_file.sha256).write_bytes(damaged)
    assert cache.find(sent_file.sha256, sent_file.size) is None
    assert there(home) == set()


def test_cache_finds_no_file_that_changed_after_it_was_read(tmp_path: Path) -> None:
    sent_file = file(tmp_path, big(1))
    sent_file.path.write_bytes(big(2))
    cache.keep([sent_file])
    assert cache.find(sent_file.sha256, sent_file.size) is None


def test_cache_keeps_neither_small_nor_huge_files(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_FILE", 50_000)
    right = file(tmp_path, big(1, 50_000))
    cache.keep([file(tmp_path, b"small"), right, file(tmp_path, big(2, 50_001))])
    assert there(home) == {right.sha256}


def test_cache_evicts_the_least_recently_used_file(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_FILES", 3)
    sent = [file(tmp_path, big(number)) for number in range(4)]
    for age, sent_file in enumerate(sent[:3]):
        cache.keep([sent_file])
        os.utime(home / "sent" / sent_file.sha256, (1000 + age, 1000 + age))
    assert cache.find(sent[0].sha256, 20_000)  # makes this entry the most recently used
    cache.keep([sent[3]])
    assert there(home) == names([sent[0], sent[2], sent[3]])


def test_cache_is_bounded_in_bytes(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_BYTES", 50_000)
    sent = [file(tmp_path, big(number)) for number in range(9)]
    cache.keep(sent)
    assert len(there(home)) == 2


def test_cache_is_empty_and_harmless_when_it_cannot_be_written(tmp_path: Path, home: Path) -> None:
    home.parent.mkdir()
    home.write_text("a file where the directory would be")
    sent_file = file(tmp_path, big(1))
    cache.keep([sent_file])
    cache.remember_speed("ssh://a", 5e6)
    assert cache.find(sent_file.sha256, sent_file.size) is None
    assert cache.speed("ssh://a") is None


def test_cached_speeds_are_a_mean_and_bounded_in_number(home: Path) -> None:
    cache.remember_speed("ssh://a", 4e6)
    cache.remember_speed("ssh://a", 2e6)
    assert cache.speed("ssh://a") == 3e6
    for number in range(150):
        cache.remember_speed(f"ssh://{number}", 1e6)
    assert len(json.loads((home / "speeds.json").read_text())) == 100
    assert cache.speed("ssh://149") == 1e6


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": "x"}', '{"a": -1}', '{"a": 1e300}', '{"a": true}', "[" * 9999])
def test_damaged_speeds_file_gives_no_implausible_speed(home: Path, text: str) -> None:
    home.mkdir(parents=True)
    (home / "speeds.json").write_text(text)
    assert cache.speed("a") in (None, 1.0)


def test_last_sent_files_are_remembered_by_target_and_app(tmp_path: Path, home: Path) -> None:
    entries = artifacts.read(file(tmp_path, big(1)).path).manifest.entries
    cache.remember_last("ssh://a", "shop", entries)
    (last,) = cache.last("ssh://a", "shop")
    assert (last.path, last.sha256, last.size) == (entries[0].path, entries[0].sha256, entries[0].size)
    assert cache.last("ssh://a", "blog") == cache.last("ssh://b", "shop") == ()
    (last_,) = (home / "last").iterdir()
    for damaged in ("", "{", "7", '[{"path": "../x", "sha256": "1", "size": 1}]'):
        last_.write_text(damaged)
        assert cache.last("ssh://a", "shop") == ()
