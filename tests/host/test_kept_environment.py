"""What is kept of an environment: versions that give no value away, only those that releases need, in one file 0600."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from teal_host import environment, record
from teal_host.environment import Kept
from teal_host.errors import BadRequest, NeedsHuman
from teal_host.paths import AppPaths
from teal_host.record import Record
from teal_host.wire.app import AppSpec, Health, Keep, Run, Site, Verify
from teal_host.wire.manifest import Origin
from teal_host.wire.typed import encode

KEY, OTHER_KEY = "0" * 32, "1" * 32
CANARY = "S3CR3T-canary"
ODD = ["", "\n", "a\nb\n", "'\"\\$`", "é€😀", "\u2028", "\x01\x1b[31m", "x" * 32_768]


@pytest.fixture
def paths(tmp_path: Path) -> AppPaths:
    return AppPaths(tmp_path, "shop")


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def kept(**values: str) -> Kept:
    found = Kept(KEY)
    for name, value in values.items():
        found = environment.with_value(found, name, value, "2026-01-01T00:00:00+00:00")
    return found


def spec(**env: str) -> AppSpec:
    return AppSpec("shop", Site(), Run(("./program",), env=env), Health(), Verify(), Keep())


def release(paths: AppPaths, seq: int, secrets: str, stored: bool = True) -> Record:
    name = f"{seq:04d}-{seq:012x}"
    entry = Record(name, seq, "a" * 64, 1, "2026-01-01T00:00:00+00:00", Origin(), "abc", spec(), secrets=secrets)
    record.save(paths, entry)
    if stored:
        paths.release(name).mkdir(parents=True)
    return entry


@pytest.mark.parametrize("value", ODD, ids=lambda value: ascii(value)[:20])
def test_secrets_are_loaded_as_saved(paths: AppPaths, value: str) -> None:
    wanted = kept(A=value, B="b")
    environment.save(paths, wanted)
    found = environment.load(paths)
    assert (found.key, found.current, found.since) == (wanted.key, wanted.current, wanted.since)
    assert found.versions == {wanted.current: {"A": value, "B": "b"}}


def test_secrets_file_belongs_to_its_owner_alone_from_the_first_moment(
    paths: AppPaths, open_umask: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, modes = os.open, {}

    def watched(path: Any, *arguments: Any, **more: Any) -> int:
        handle = really(path, *arguments, **more)
        modes[Path(path).name] = os.fstat(handle).st_mode & 0o777
        return handle

    monkeypatch.setattr(os, "open", watched)
    environment.save(paths, kept(A=CANARY))
    assert modes[".secrets.tmp"] == 0o600
    assert paths.secrets.stat().st_mode & 0o777 == 0o600


def test_secrets_file_is_removed_with_the_last_value(paths: AppPaths) -> None:
    environment.save(paths, kept(A="1"))
    environment.save(paths, environment.without(kept(A="1"), "A"))
    assert not paths.secrets.exists()
    assert environment.load(paths).values == {}


def test_secrets_version_is_the_same_for_the_same_values_in_any_order() -> None:
    assert kept(A="1", B="2").current == kept(B="2", A="1").current
    back = environment.with_value(environment.with_value(kept(A="1"), "A", "2", "now"), "A", "1", "now")
    assert back.current == kept(A="1").current
    assert len({kept(A="1").current, kept(A="2").current, kept(B="1").current, kept(A="1", B="").current}) == 4


def test_secrets_version_and_environment_word_cannot_be_computed_without_the_key() -> None:
    one = kept(A="hunter2")
    other = environment.with_value(Kept(OTHER_KEY), "A", "hunter2", "now")
    assert one.current != other.current
    assert environment.word(one, {}) != environment.word(other, {})
    assert environment.word(one, {}) != record.env_version({"A": "hunter2"})


def test_environment_word_depends_on_secrets_and_run_env_together() -> None:
    words = {environment.word(kept(A=a), {"B": b}) for a in ("1", "2") for b in ("1", "2")}
    assert len(words) == 4
    assert environment.word(Kept(KEY), {"B": "1"}) == record.env_version({"B": "1"})
    assert {len(word) for word in words} == {8}


def test_release_finds_its_own_secrets_when_values_changed_since(paths: AppPaths) -> None:
    first = kept(A="1")
    environment.save(paths, first)
    entry = release(paths, 1, first.current)
    for count in range(5):
        environment.save(paths, environment.with_value(environment.load(paths), "A", f"later {count}", "now"))
    assert environment.of(paths, entry) == {"A": "1"}
    environment.save(paths, environment.without(environment.load(paths), "A"))
    assert environment.of(paths, entry) == {"A": "1"}
    assert set(environment.load(paths).versions) == {first.current}


def test_release_has_no_secrets_when_its_record_names_none(paths: AppPaths) -> None:
    environment.save(paths, kept(A="1"))
    assert environment.of(paths, release(paths, 1, "")) == {}


def test_secrets_keep_only_the_versions_of_stored_releases_and_the_next_deploy(paths: AppPaths) -> None:
    now = kept(A="0")
    for seq in range(1, 5):
        now = environment.with_value(now, "A", str(seq), "now")
        release(paths, seq, now.current, stored=seq > 2)
    environment.save(paths, environment.with_value(now, "A", "next", "now"))
    assert {values["A"] for values in environment.load(paths).versions.values()} == {"3", "4", "next"}
    paths.release(f"{3:04d}-{3:012x}").rmdir()
    environment.prune(paths)
    assert {values["A"] for values in environment.load(paths).versions.values()} == {"4", "next"}


def test_release_needs_a_human_when_its_secrets_are_lost(paths: AppPaths) -> None:
    with pytest.raises(NeedsHuman, match="does not have the environment that 0001-"):
        environment.of(paths, release(paths, 1, kept(A="1").current))


DAMAGED: dict[str, Callable[[str], str]] = {
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "a newer format": lambda text: text.replace('"format": 1', '"format": 2'),
    "a value that is none": lambda text: text.replace(f'"{CANARY}"', f'["{CANARY}"]'),
    "a name that is none": lambda text: text.replace('"A"', '"A B"'),
    "another version": lambda text: text.replace('"current": "', '"current": "00'),
    "a key less": lambda text: text.replace(f'"key": "{KEY}",', ""),
    "a number for a value": lambda text: text.replace(f'"{CANARY}"', "424242"),
}


@pytest.mark.parametrize("how", DAMAGED)
def test_damaged_secrets_need_a_human_and_are_left_unchanged(paths: AppPaths, how: str) -> None:
    environment.save(paths, kept(A=CANARY))
    changed = DAMAGED[how](paths.secrets.read_text())
    assert changed != paths.secrets.read_text() or not changed
    paths.secrets.write_text(changed)
    with pytest.raises(NeedsHuman) as refused:
        environment.load(paths)
    said = repr(refused.value.failure())
    assert "secrets is damaged" in said
    assert CANARY not in said
    assert "424242" not in said
    assert paths.secrets.read_text() == changed


def test_env_name_is_refused_when_both_in_teal_toml_and_in_teal_env(paths: AppPaths) -> None:
    environment.save(paths, kept(A=CANARY, B="2"))
    environment.refuse(paths, spec(C="1"))
    with pytest.raises(BadRequest, match=r"A: both in \[run\] env of teal.toml and in teal env"):
        environment.refuse(paths, spec(A="1", C="1"))


def test_env_is_refused_when_secrets_and_run_env_are_together_too_large(paths: AppPaths) -> None:
    large = {f"A{number}": "x" * 32_000 for number in range(16)}
    environment.save(paths, kept(**large))
    environment.refuse(paths, spec())
    with pytest.raises(BadRequest, match="at most 1,000,000"):
        environment.refuse(paths, spec(**{f"B{number}": "x" * 32_000 for number in range(16)}))


def test_secrets_hide_values_and_key_when_printed() -> None:
    assert CANARY not in repr(kept(A=CANARY))
    assert KEY not in repr(kept(A=CANARY))


def test_record_is_read_when_an_older_teal_wrote_no_secrets(paths: AppPaths) -> None:
    entry = release(paths, 1, "")
    old = {name: value for name, value in encode(entry).items() if name != "secrets"}
    (paths.records / f"{entry.release}.json").write_text(json.dumps(old))
    assert record.load(paths) == [entry]
