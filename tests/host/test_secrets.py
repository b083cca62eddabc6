"""The stored secrets: versions that reveal no value, only those that releases need, in one file with mode 0600."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from teal_host.ground.errors import BadRequest, NeedsHuman
from teal_host.ground.paths import AppPaths
from teal_host.state import releases, secrets
from teal_host.state.releases import Record
from teal_host.state.secrets import StoredSecrets
from teal_host.stories.secrets import _since
from teal_host.wire.app import AppSpec, Health, Keep, Ports, Run, Site, Verify
from teal_host.wire.manifest import Origin
from teal_host.wire.typed import encode

KEY, OTHER_KEY = "0" * 32, "1" * 32
NOON = "2026-01-01T12:00:00+00:00"
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


def kept(**values: str) -> StoredSecrets:
    stored = StoredSecrets(KEY)
    for name, value in values.items():
        stored = secrets.with_value(stored, name, value, NOON)
    return stored


def spec(**env: str) -> AppSpec:
    return AppSpec("shop", Site(), Run(("./program",), env=env), Health(), Verify(), Keep())


def release(paths: AppPaths, seq: int, secrets: str, stored: bool = True) -> Record:
    name = f"{seq:04d}-{seq:012x}"
    entry = Record(name, seq, "a" * 64, 1, NOON, Origin(), "abc", spec(), secrets=secrets)
    releases.save(paths, entry)
    if stored:
        paths.release(name).mkdir(parents=True)
    return entry


@pytest.mark.parametrize("value", ODD, ids=lambda value: ascii(value)[:20])
def test_secrets_are_loaded_as_saved(paths: AppPaths, value: str) -> None:
    wanted = kept(A=value, B="b")
    secrets.save(paths, wanted)
    stored = secrets.load(paths)
    assert (stored.key, stored.current, stored.since) == (wanted.key, wanted.current, wanted.since)
    assert stored.versions == {wanted.current: {"A": value, "B": "b"}}


def test_strange_time_in_the_secrets_file_is_only_shown(paths: AppPaths) -> None:
    wanted = kept(A="a")
    secrets.save(paths, replace(wanted, since={"A": "yesterday"}))
    assert secrets.load(paths).values == {"A": "a"}
    assert _since(secrets.load(paths), "A") == "1970-01-01T00:00:00+00:00"
    assert _since(wanted, "A") == wanted.since["A"]


def test_secrets_file_belongs_to_its_owner_alone_from_the_first_moment(
    paths: AppPaths, open_umask: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, modes = os.open, {}

    def watched(path: Any, *arguments: Any, **more: Any) -> int:
        handle = really(path, *arguments, **more)
        modes[Path(path).name] = os.fstat(handle).st_mode & 0o777
        return handle

    monkeypatch.setattr(os, "open", watched)
    secrets.save(paths, kept(A=CANARY))
    assert modes[".secrets.tmp"] == 0o600
    assert paths.secrets.stat().st_mode & 0o777 == 0o600


def test_secrets_file_is_removed_with_the_last_value(paths: AppPaths) -> None:
    secrets.save(paths, kept(A="1"))
    secrets.save(paths, secrets.without(kept(A="1"), "A"))
    assert not paths.secrets.exists()
    assert secrets.load(paths).values == {}


def test_secrets_version_is_the_same_for_the_same_values_in_any_order() -> None:
    assert kept(A="1", B="2").current == kept(B="2", A="1").current
    back = secrets.with_value(secrets.with_value(kept(A="1"), "A", "2", NOON), "A", "1", NOON)
    assert back.current == kept(A="1").current
    assert len({kept(A="1").current, kept(A="2").current, kept(B="1").current, kept(A="1", B="").current}) == 4


def test_secrets_version_and_environment_word_cannot_be_computed_without_the_key() -> None:
    first = kept(A="hunter2")
    other = secrets.with_value(StoredSecrets(OTHER_KEY), "A", "hunter2", NOON)
    assert first.current != other.current
    assert secrets.environment_version(first, {}) != secrets.environment_version(other, {})
    assert secrets.environment_version(first, {}) != releases.env_version({"A": "hunter2"})


def test_environment_word_depends_on_secrets_and_run_env_together() -> None:
    words = {secrets.environment_version(kept(A=a), {"B": b}) for a in ("1", "2") for b in ("1", "2")}
    assert len(words) == 4
    assert secrets.environment_version(StoredSecrets(KEY), {"B": "1"}) == releases.env_version({"B": "1"})
    assert {len(word) for word in words} == {8}


def test_release_finds_its_own_secrets_when_values_changed_since(paths: AppPaths) -> None:
    first = kept(A="1")
    secrets.save(paths, first)
    entry = release(paths, 1, first.current)
    for count in range(5):
        secrets.save(paths, secrets.with_value(secrets.load(paths), "A", f"later {count}", NOON))
    assert secrets.values_of(paths, entry) == {"A": "1"}
    secrets.save(paths, secrets.without(secrets.load(paths), "A"))
    assert secrets.values_of(paths, entry) == {"A": "1"}
    assert set(secrets.load(paths).versions) == {first.current}


def test_release_has_no_secrets_when_its_record_names_none(paths: AppPaths) -> None:
    secrets.save(paths, kept(A="1"))
    assert secrets.values_of(paths, release(paths, 1, "")) == {}


def test_secrets_keep_only_the_versions_of_stored_releases_and_the_next_deploy(paths: AppPaths) -> None:
    now = kept(A="0")
    for seq in range(1, 5):
        now = secrets.with_value(now, "A", str(seq), NOON)
        release(paths, seq, now.current, stored=seq > 2)
    secrets.save(paths, secrets.with_value(now, "A", "next", NOON))
    assert {values["A"] for values in secrets.load(paths).versions.values()} == {"3", "4", "next"}
    paths.release(f"{3:04d}-{3:012x}").rmdir()
    secrets.prune(paths)
    assert {values["A"] for values in secrets.load(paths).versions.values()} == {"4", "next"}


def test_release_needs_a_human_when_its_secrets_are_lost(paths: AppPaths) -> None:
    with pytest.raises(NeedsHuman, match="does not have the environment that 0001-"):
        secrets.values_of(paths, release(paths, 1, kept(A="1").current))


DAMAGED: dict[str, Callable[[str], str]] = {
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "a newer format": lambda text: text.replace('"format": 2', '"format": 3'),
    "a value that is none": lambda text: text.replace(f'"{CANARY}"', f'["{CANARY}"]'),
    "a name that is none": lambda text: text.replace('"A"', '"A B"'),
    "another version": lambda text: text.replace('"current": "', '"current": "00'),
    "a key less": lambda text: text.replace(f'"key": "{KEY}",', ""),
    "a number for a value": lambda text: text.replace(f'"{CANARY}"', "424242"),
}


@pytest.mark.parametrize("how", DAMAGED)
def test_damaged_secrets_need_a_human_and_are_left_unchanged(paths: AppPaths, how: str) -> None:
    secrets.save(paths, kept(A=CANARY))
    changed = DAMAGED[how](paths.secrets.read_text())
    assert changed != paths.secrets.read_text() or not changed
    paths.secrets.write_text(changed)
    with pytest.raises(NeedsHuman) as refused:
        secrets.load(paths)
    text = repr(refused.value.failure())
    assert "secrets cannot be read" in text or "secrets is of a newer Teal" in text
    assert CANARY not in text
    assert "424242" not in text
    assert paths.secrets.read_text() == changed


def test_env_name_is_refused_when_both_in_teal_toml_and_in_teal_env(paths: AppPaths) -> None:
    secrets.save(paths, kept(A=CANARY, B="2"))
    secrets.check(paths, spec(C="1"))
    with pytest.raises(BadRequest, match=r"A: both in \[run\] env of teal.toml and in teal env"):
        secrets.check(paths, spec(A="1", C="1"))


def test_socket_is_refused_in_teal_env_when_the_command_gives_it(paths: AppPaths) -> None:
    secrets.save(paths, kept(SOCKET="/run/mysqld.sock"))
    secrets.check(paths, spec())
    on_socket = replace(spec(), run=Run(("./app", "{socket}")))
    with pytest.raises(BadRequest, match=r"SOCKET: both in \[run\] command of teal.toml"):
        secrets.check(paths, on_socket)
    secrets.save(paths, kept(PORT2="9090"))
    secrets.check(paths, spec())
    with pytest.raises(BadRequest, match=r"PORT2: both in \[run\] ports2 of teal.toml"):
        secrets.check(paths, replace(spec(), run=Run(("./app",), ports2=Ports(9081, 9082))))


def test_env_is_refused_when_secrets_and_run_env_are_together_too_large(paths: AppPaths) -> None:
    large = {f"A{number}": "x" * 32_000 for number in range(16)}
    secrets.save(paths, kept(**large))
    secrets.check(paths, spec())
    with pytest.raises(BadRequest, match="at most 1,000,000"):
        secrets.check(paths, spec(**{f"B{number}": "x" * 32_000 for number in range(16)}))


def test_secrets_of_a_release_whose_record_is_unreadable_are_kept(paths: AppPaths) -> None:
    """Nobody can say which version that release needs, so every version stays."""
    first, second = kept(A="1"), kept(A="2")
    entry = release(paths, 1, first.current)
    secrets.save(paths, replace(second, versions={**first.versions, **second.versions}))
    (paths.records / f"{entry.release}.json").write_text("{")
    secrets.prune(paths)
    secrets.save(paths, secrets.with_value(secrets.load(paths), "A", "3", NOON))
    assert {first.current, second.current} < set(secrets.load(paths).versions)


def test_secrets_hide_values_and_key_when_printed() -> None:
    assert CANARY not in repr(kept(A=CANARY))
    assert KEY not in repr(kept(A=CANARY))


def test_record_is_read_when_an_older_teal_wrote_no_secrets(paths: AppPaths) -> None:
    entry = release(paths, 1, "")
    old = {name: value for name, value in encode(entry).items() if name != "secrets"}
    (paths.records / f"{entry.release}.json").write_text(json.dumps(old))
    assert releases.load(paths) == [entry]
