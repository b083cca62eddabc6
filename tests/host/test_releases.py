"""What Teal knows about releases: the target of a rollback, and which releases prune may remove."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teal_host.ground import files
from teal_host.ground.errors import NeedsHuman
from teal_host.ground.paths import AppPaths
from teal_host.state import releases
from teal_host.state.disk_format import Unreadable
from teal_host.state.releases import Record, UnreadableRecord
from teal_host.state.slots import read_slots
from teal_host.steps.prune import PrunePlan, plan, prune
from teal_host.steps.release import remove_unfinished
from teal_host.steps.scene import Scene
from teal_host.wire.app import AppSpec, Health, Keep, Run, Site, Verify
from teal_host.wire.manifest import Origin
from teal_host.wire.outcomes import ReleaseOutcome
from teal_host.wire.typed import encode

SPEC = AppSpec("shop", Site(), Run(("./program",)), Health(json={"a": ["{color}", 1.5, None]}), Verify(), Keep())
WORDS: dict[str, ReleaseOutcome] = {"g": "live", "r": "refused", "t": "rolled_back", "p": "pending", "s": "superseded"}


def name(seq: int) -> str:
    return f"{seq:04d}-{seq:012x}"


def entry(seq: int, outcome: ReleaseOutcome = "live") -> Record:
    origin = Origin("mé", "here", "abc", True, "0.1")
    return Record(name(seq), seq, "a" * 64, 10, "2026-01-01T00:00:00+00:00", origin, "abc", SPEC, outcome)


def history(outcomes: str) -> list[Record]:
    """One record for each letter, numbered from 1."""
    return [entry(seq, WORDS[letter]) for seq, letter in enumerate(outcomes, 1)]


def names(*seqs: int) -> set[str]:
    return {name(seq) for seq in seqs}


@pytest.fixture
def paths(tmp_path: Path) -> AppPaths:
    return AppPaths(tmp_path, "shop")


def store(paths: AppPaths, *seqs: int) -> None:
    for seq in seqs:
        paths.release(name(seq)).mkdir(parents=True)


@pytest.mark.parametrize("outcome", WORDS.values())
def test_record_is_loaded_as_saved(paths: AppPaths, outcome: ReleaseOutcome) -> None:
    releases.save(paths, entry(7, outcome))
    assert releases.load(paths) == [entry(7, outcome)]
    assert oct((paths.records / f"{name(7)}.json").stat().st_mode & 0o777) == "0o600"


def test_records_come_by_sequence_and_not_by_name(paths: AppPaths) -> None:
    for seq in (10_000, 9_999, 2):
        releases.save(paths, entry(seq))
    assert [record_.seq for record_ in releases.load(paths)] == [2, 9_999, 10_000]


def test_record_mark_changes_only_the_outcome(paths: AppPaths) -> None:
    releases.save(paths, entry(1, "pending"))
    assert releases.mark(paths, entry(1, "pending"), "rolled_back") == entry(1, "rolled_back")
    assert releases.load(paths) == [entry(1, "rolled_back")]


DAMAGED: dict[str, Callable[[str], str]] = {
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "garbage": lambda text: "\x00" * 100,
    "not UTF-8": lambda text: "\udcff",
    "a list": lambda text: "[]",
    "nothing in it": lambda text: "{}",
    "a newer format": lambda text: text.replace('"format": 2', '"format": 3'),
    "no format": lambda text: text.replace('"format": 2', '"format": 0'),
    "a format that is no number": lambda text: text.replace('"format": 2', '"format": "2"'),
    "another outcome": lambda text: text.replace('"live"', '"splendid"'),
    "an app that is none": lambda text: text.replace('"shop"', '"../x"'),
    "a release that is none": lambda text: text.replace(f'"release": "{name(2)}"', '"release": "../../etc"'),
}


@pytest.mark.parametrize("how", DAMAGED)
def test_damaged_record_is_a_value_of_its_own_and_the_other_records_stay(paths: AppPaths, how: str) -> None:
    for seq in (1, 2, 3):
        releases.save(paths, entry(seq))
    path = paths.records / f"{name(2)}.json"
    changed = DAMAGED[how](path.read_text())
    assert changed != path.read_text()
    path.write_bytes(changed.encode(errors="surrogateescape"))
    assert releases.load(paths) == [entry(1), entry(3)]
    (unreadable,) = releases.load_unreadable(paths)
    assert (unreadable.release, unreadable.seq, unreadable.path) == (name(2), 2, path)
    assert unreadable.why
    assert "\n" not in unreadable.why


def test_record_that_may_not_be_opened_is_unreadable(paths: AppPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    releases.save(paths, entry(1))
    monkeypatch.setattr(Path, "read_bytes", failing(errno.EIO))
    assert releases.load(paths) == []
    (unreadable,) = releases.load_unreadable(paths)
    assert "Input/output error" in unreadable.why


def test_folder_of_records_that_may_not_be_read_is_not_taken_for_empty(
    paths: AppPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(paths, 1)
    releases.save(paths, entry(1))
    monkeypatch.setattr(os, "listdir", failing(errno.EACCES))
    with pytest.raises(PermissionError):
        releases.load(paths)
    with pytest.raises(PermissionError):
        remove_unfinished(paths)
    assert paths.release(name(1)).is_dir()


def failing(number: int) -> Callable[..., object]:
    def fail(*arguments: object) -> object:
        raise OSError(number, os.strerror(number))

    return fail


def test_record_of_format_1_is_read_in_the_words_of_now(paths: AppPaths) -> None:
    old = {("good", False): "live", ("turned_back", False): "rolled_back", ("turned_back", True): "superseded"}
    old |= {("refused", False): "refused", ("pending", False): "pending"}
    paths.records.mkdir(parents=True)
    for seq, (outcome, standby) in enumerate(old, 1):
        row = {**encode(entry(seq)), "outcome": outcome, "left": standby, "format": 1}
        (paths.records / f"{name(seq)}.json").write_text(json.dumps(row))
    assert [record.outcome for record in releases.load(paths)] == list(old.values())


def test_key_of_a_newer_teal_is_ignored_and_survives_the_next_write(paths: AppPaths) -> None:
    releases.save(paths, entry(1, "pending"))
    path = paths.records / f"{name(1)}.json"
    row = json.loads(path.read_text())
    row["later"] = {"a": [1]}
    row["spec"]["keep"]["hours"] = 3
    path.write_text(json.dumps(row))
    assert releases.load(paths) == [entry(1, "pending")]
    releases.mark(paths, entry(1, "pending"), "live")
    written = json.loads(path.read_text())
    assert (written["later"], written["spec"]["keep"]["hours"], written["outcome"]) == ({"a": [1]}, 3, "live")
    assert releases.load(paths) == [entry(1, "live")]


def test_record_of_a_newer_teal_is_never_overwritten(paths: AppPaths) -> None:
    releases.save(paths, entry(1))
    path = paths.records / f"{name(1)}.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 3'))
    before = path.read_bytes()
    with pytest.raises(Unreadable, match="is of a newer Teal"):
        releases.save(paths, entry(1, "refused"))
    assert path.read_bytes() == before


def test_previous_release_is_an_unreadable_one_where_that_stands_in_the_way(paths: AppPaths) -> None:
    store(paths, 1, 2, 3)
    for seq in (1, 2, 3):
        releases.save(paths, entry(seq))
    (paths.records / f"{name(2)}.json").write_text("{")
    unreadable = releases.previous(paths, name(3))
    assert isinstance(unreadable, UnreadableRecord)
    assert unreadable.release == name(2)
    assert releases.previous_name(paths, name(3)) is None
    with pytest.raises(NeedsHuman, match=f"{name(2)}.json"):
        releases.find_named(paths, "2")
    paths.release(name(2)).rmdir()  # no rollback can go to this release in any case
    assert releases.previous_name(paths, name(3)) == name(1)


def test_previous_release_is_known_when_the_record_of_the_live_release_is_unreadable(paths: AppPaths) -> None:
    store(paths, 1, 2)
    for seq in (1, 2):
        releases.save(paths, entry(seq))
    (paths.records / f"{name(2)}.json").write_text("{")
    assert releases.previous_name(paths, name(2)) == name(1)


@pytest.mark.parametrize(
    ("outcomes", "stored", "live", "goes_to"),
    [
        ("gg", (1, 2), 2, 1),
        ("ggg", (1, 2, 3), 3, 2),
        ("ggg", (1, 2, 3), 2, 1),
        ("ggg", (1, 2, 3), 1, None),
        ("grg", (1, 2, 3), 3, 1),
        ("gtg", (1, 2, 3), 3, 1),
        ("gpg", (1, 2, 3), 3, 1),
        ("gsg", (1, 2, 3), 3, 1),
        ("ggrt", (1, 2, 3, 4), 2, 1),
        ("ggg", (1, 3), 3, 1),
        ("ggg", (3,), 3, None),
        ("rg", (1, 2), 2, None),
        ("g", (1,), 1, None),
        ("gg", (1, 2), None, None),
        ("gg", (1, 2), 9, None),
        ("", (), None, None),
    ],
)
def test_rollback_goes_to_the_last_good_release_before_the_live_release(
    paths: AppPaths, outcomes: str, stored: tuple[int, ...], live: int | None, goes_to: int | None
) -> None:
    store(paths, *stored)
    for record in history(outcomes):
        releases.save(paths, record)
    assert releases.previous_name(paths, name(live) if live else None) == (name(goes_to) if goes_to else None)


def test_rollback_target_is_chosen_by_sequence_and_not_by_the_clock(paths: AppPaths) -> None:
    """Somebody may have set the server's clock back."""
    store(paths, 1, 2, 3)
    for record in history("ggg"):
        releases.save(paths, replace(record, at=f"20{30 - record.seq}-01-01T00:00:00+00:00"))
    assert releases.previous_name(paths, name(3)) == name(2)
    assert releases.previous_name(paths, name(2)) == name(1)


@pytest.mark.parametrize(
    ("recorded", "stored", "following"),
    [
        ((), (), 1),
        ((1, 2), (1, 2), 3),
        ((1,), (5,), 6),
        ((7,), (1,), 8),
        ((), (9_999,), 10_000),
        ((10_000,), (2,), 10_001),
    ],
)
def test_release_sequence_is_never_used_again(
    paths: AppPaths, recorded: tuple[int, ...], stored: tuple[int, ...], following: int
) -> None:
    store(paths, *stored)
    assert releases.next_seq(paths, [entry(seq) for seq in recorded]) == following


def test_unreadable_record_keeps_its_sequence(paths: AppPaths) -> None:
    releases.save(paths, entry(7))
    (paths.records / f"{name(7)}.json").write_text("{")
    assert releases.next_seq(paths, releases.load(paths)) == 8


def test_unfinished_upload_takes_no_sequence(paths: AppPaths) -> None:
    store(paths, 1)
    (paths.releases / f".partial-{name(5)}").mkdir()
    (paths.releases / "7old-copy by hand").mkdir()
    assert releases.next_seq(paths, []) == 2


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5)), st.dictionaries(st.text(max_size=5), st.text(max_size=5))
)
def test_environment_version_depends_on_the_values_and_not_on_their_order(
    record_: dict[str, str], other: dict[str, str]
) -> None:
    assert releases.env_version(record_) == releases.env_version(dict(reversed(record_.items())))
    assert (releases.env_version(record_) == releases.env_version(other)) == (record_ == other)


def test_environment_version_reveals_no_value() -> None:
    assert "hunter2" not in releases.env_version({"PASSWORD": "hunter2"})
    assert len(releases.env_version({"A": "x" * 9000})) == 8


@pytest.mark.parametrize(
    ("outcomes", "stored", "keep", "in_use", "gone"),
    [
        ("", (), 5, (), ()),
        ("ggg", (1, 2, 3), 5, (2, 3), ()),
        ("ggg", (1, 2, 3), 2, (2, 3), (1,)),
        ("ggggg", (1, 2, 3, 4, 5), 2, (4, 5), (1, 2, 3)),
        ("ggggg", (1, 2, 3, 4, 5), 2, (1, 5), (2, 3)),
        ("gggrrr", (1, 2, 3, 4, 5, 6), 3, (2, 3), (4, 5, 6)),
        ("gggttt", (1, 2, 3, 4, 5, 6), 2, (2, 3), (1, 4, 5, 6)),
        ("gggr", (1, 2, 3, 4), 3, (3, 4), ()),
        ("gggp", (1, 2, 3, 4), 3, (3,), (4,)),
        ("gg", (1, 2, 3), 2, (2,), (3,)),
        ("ggg", (1, 3), 2, (3,), ()),
        ("gggg", (2, 3, 4), 2, (4,), (2,)),
    ],
)
def test_prune_keeps_the_last_good_releases_and_what_a_color_holds(
    outcomes: str, stored: tuple[int, ...], keep: int, in_use: tuple[int, ...], gone: tuple[int, ...]
) -> None:
    assert plan(history(outcomes), names(*stored), keep, names(*in_use)) == PrunePlan(tuple(sorted(names(*gone))), ())


@pytest.mark.row("F6")
@given(
    st.text("grtps", max_size=12),
    st.sets(st.integers(1, 12)),
    st.integers(2, 5),
    st.sets(st.integers(1, 12), max_size=2),
)
@pytest.mark.row("A3")
def test_prune_never_removes_a_running_release_or_a_good_release_within_keep(
    outcomes: str, stored: set[int], keep: int, in_use: set[int]
) -> None:
    records = history(outcomes)
    gone = set(plan(records, names(*stored), keep, names(*in_use)).files)
    assert not gone & names(*in_use)
    assert gone <= names(*stored)
    good = [record_.release for record_ in records if record_.outcome == "live" and record_.release in names(*stored)]
    assert not gone & set(good[-keep:])
    assert len(names(*stored) - gone - names(*in_use)) <= keep


def test_prune_removes_the_others_when_one_release_cannot_be_removed(paths: AppPaths) -> None:
    store(paths, 1, 2, 3)
    for seq in (1, 2, 3):
        releases.save(paths, entry(seq))
    (paths.releases / f".partial-{name(1)}/in the way").mkdir(parents=True)
    warnings: list[str] = []
    app: Any = SimpleNamespace(paths=paths, warn=warnings.append)
    prune(app, Scene(paths, read_slots(paths), releases.load(paths), [], None), 1)
    assert [path.name for path in sorted(paths.releases.glob("0*"))] == [name(1), name(3)]
    (warning,) = warnings
    assert warning.startswith(f"release {name(1)} could not be removed: the system says: Directory not empty")


def test_command_goes_on_with_a_warning_when_a_leftover_cannot_be_removed(
    paths: AppPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    for leftover in (".partial-a", ".partial-b"):
        (paths.releases / leftover).mkdir(parents=True)
    monkeypatch.setattr(files, "remove_if_empty", failing(errno.EIO))
    warnings: list[str] = []
    remove_unfinished(paths, warnings.append)
    assert len(warnings) == 2
    assert all("cannot be removed: Input/output error" in warning for warning in warnings)


def test_prune_keeps_records_longer_than_files() -> None:
    records = history("g" * 250)
    chosen = plan(records, names(*range(1, 251)), 2, names(3, 250))
    assert len(chosen.files) == 250 - 3
    assert chosen.records == tuple(sorted(names(*range(1, 51)) - names(3)))


def test_record_is_plain_json(paths: AppPaths) -> None:
    releases.save(paths, entry(1))
    assert json.loads((paths.records / f"{name(1)}.json").read_text()) == json.loads(
        json.dumps({**encode(entry(1)), "format": 2})
    )
