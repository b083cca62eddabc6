"""What is known of each release, also after its files are pruned: where it comes from, how to run it, how it ended."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from teal_host.ground import files
from teal_host.ground.errors import NeedsHuman
from teal_host.ground.paths import AppPaths
from teal_host.state.disk_format import DiskFormat, Unreadable
from teal_host.wire.app import AppSpec
from teal_host.wire.grammar import Digest, EnvVersion, ReleaseName, release_name
from teal_host.wire.manifest import Count, Origin
from teal_host.wire.outcomes import ReleaseOutcome
from teal_host.wire.upward import EnvDigest, Moment
from teal_host.wire.values import dataclass


@dataclass(frozen=True)
class Record:
    """`env` names the whole environment that the release ran with, `secrets` the version of the part from `teal env`.

    `at` is when it was sealed, in UTC.
    """

    release: ReleaseName
    seq: int
    digest: Digest
    bytes: Count
    at: Moment
    origin: Origin
    env: EnvDigest
    spec: AppSpec
    outcome: ReleaseOutcome = "pending"
    secrets: EnvVersion = ""

    @property
    def did_not_stay(self) -> bool:
        """Teal itself has found it bad, so Teal leads nobody to it."""
        return self.outcome in ("refused", "unhealthy", "rolled_back")


@dataclass(frozen=True)
class UnreadableRecord:
    """A record that is damaged, or of a newer Teal. Neither it nor what it describes is ever removed."""

    release: str
    path: Path
    why: str

    @property
    def seq(self) -> int:
        return _seq(self.release)

    def error(self) -> NeedsHuman:
        hint = "restore it, or use the Teal that wrote it; or name a release: teal rollback RELEASE"
        return NeedsHuman(f"the record of {self.release} cannot be read: {self.path}", [self.why], hint)


def _from_format_1(raw: Dict[str, Any]) -> Dict[str, Any]:
    """`left` said that a person had gone back from a release; its outcome was `turned_back` all the same."""
    was_left = raw.pop("left", False)
    words = {"good": "live", "turned_back": "superseded" if was_left else "rolled_back"}
    outcome = raw.get("outcome")
    return {**raw, "outcome": words.get(outcome, outcome)} if isinstance(outcome, str) else raw


_FORMAT = DiskFormat(Record, 2, _from_format_1)


ENDED = {
    "superseded": "was left by a rollback, or ended by --evict",
    "rolled_back": "was rolled back by Teal",
    "refused": "was refused",
    "unhealthy": "was not healthy",
}


def load(paths: AppPaths) -> List[Record]:
    """All readable records, oldest first."""
    return [entry for entry in _load_all(paths) if isinstance(entry, Record)]


def load_unreadable(paths: AppPaths) -> List[UnreadableRecord]:
    """The others, oldest first: what they describe is neither known nor gone."""
    return [entry for entry in _load_all(paths) if isinstance(entry, UnreadableRecord)]


def recorded(paths: AppPaths) -> List[str]:
    """The releases that have a record, readable or not. Raises OSError: a folder that cannot be read is not empty."""
    stems = [name[: -len(".json")] for name in files.names_in(paths.records) if name.endswith(".json")]
    return [stem for stem in stems if release_name(stem) is None]


def _load_all(paths: AppPaths) -> "List[Union[Record, UnreadableRecord]]":
    entries = [_read(paths.records / f"{release}.json") for release in recorded(paths)]
    return sorted((entry for entry in entries if entry is not None), key=lambda entry: entry.seq)


_READ: Dict[Path, Tuple[Tuple[int, int, int], Record]] = {}  # every step loads them, and a record is written as a whole


def _read(path: Path) -> "Union[Record, UnreadableRecord, None]":
    """None when it was removed meanwhile."""
    try:
        is_now = path.stat()
        mark = (is_now.st_ino, is_now.st_mtime_ns, is_now.st_size)
        if path not in _READ or _READ[path][0] != mark:
            record = _FORMAT.read(path)
            if (record.release, record.seq) != (path.stem, _seq(path.stem)):
                return UnreadableRecord(path.stem, path, f"it is of another release, {record.release}")
            _READ[path] = (mark, record)
    except FileNotFoundError:
        return None
    except OSError as error:
        return UnreadableRecord(path.stem, path, str(error))
    except Unreadable as error:
        return UnreadableRecord(path.stem, path, error.why)
    return _READ[path][1]


def _seq(release: str) -> int:
    return int(release.split("-", maxsplit=1)[0])


def save(paths: AppPaths, record: Record) -> None:
    _FORMAT.write(paths.records / f"{record.release}.json", record)


def remove(paths: AppPaths, record: Record) -> None:
    files.remove(paths.records / f"{record.release}.json")


def mark(paths: AppPaths, record: Record, outcome: ReleaseOutcome) -> Record:
    """Write down how its deploy ended."""
    marked = replace(record, outcome=outcome)
    save(paths, marked)
    return marked


def mark_superseded(paths: AppPaths, previous: Optional[Record], target: Record) -> None:
    """Who goes back to `target` has found the newer release bad: the next `rollback` must not lead to it."""
    if previous and previous.seq > target.seq:
        save(paths, replace(previous, outcome="superseded"))


def env_version(env: Dict[str, str]) -> str:
    """A short name for exactly this environment of teal.toml, which the record holds too."""
    return hashlib.sha256(json.dumps(env, sort_keys=True).encode()).hexdigest()[:8]


def find(records: List[Record], release: Optional[str]) -> Optional[Record]:
    return next((record for record in records if record.release == release), None)


def find_named(paths: AppPaths, reference: str) -> Optional[Record]:
    """The release of that name, or of that number: `7` or `0007`. Raises NeedsHuman when its record cannot be read."""
    for entry in _load_all(paths):
        if entry.release == reference or (reference.isdigit() and entry.seq == int(reference)):
            if isinstance(entry, UnreadableRecord):
                raise entry.error()
            return entry
    return None


def previous(paths: AppPaths, live: Optional[str]) -> "Union[Record, UnreadableRecord, None]":
    """Where `rollback` goes: before the live release, by sequence, the last one that stayed well and is still stored.

    An UnreadableRecord stands in the way of what lies before it: nobody knows how that release ended.
    """
    entries = _load_all(paths)
    here = next((entry.seq for entry in entries if entry.release == live), 0)
    for entry in reversed([entry for entry in entries if entry.seq < here]):
        is_no_way = isinstance(entry, Record) and entry.outcome != "live"
        if not is_no_way and paths.release(entry.release).is_dir():
            return entry
    return None


def previous_name(paths: AppPaths, live: Optional[str]) -> Optional[str]:
    """The name of that release, where a rollback would find its way."""
    entry = previous(paths, live)
    return entry.release if isinstance(entry, Record) else None


def next_seq(paths: AppPaths, records: Sequence[Record]) -> int:
    """One more than any release that ever left a trace here."""
    traces = [name.partition("-") for folder in (paths.releases, paths.records) for name in files.names_in(folder)]
    numbers = [int(number) for number, dash, _ in traces if dash and number.isdecimal()]
    return 1 + max([*numbers, *(record.seq for record in records), 0])
