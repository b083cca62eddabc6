"""What is known of each release, also after its files are pruned: where it comes from, how to run it, how it ended."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Dict, Iterator, List, Literal, Optional, Tuple

from teal_host.ground import files
from teal_host.ground.paths import AppPaths
from teal_host.wire import typed
from teal_host.wire.app import AppSpec
from teal_host.wire.frames import FrameError, parse_object
from teal_host.wire.grammar import EnvVersion, ReleaseName, between
from teal_host.wire.manifest import Origin
from teal_host.wire.values import dataclass

FORMAT = 1
Outcome = Literal["pending", "good", "refused", "turned_back"]


@dataclass(frozen=True)
class Record:
    """`env` names the whole environment that the release ran with, `secrets` the version of the part from `teal env`.

    `at` is when it was sealed, in UTC. `left`: it was turned back by a person, not because it failed.
    """

    release: ReleaseName
    seq: int
    digest: str
    bytes: int
    at: str
    origin: Origin
    env: str
    spec: AppSpec
    outcome: Outcome = "pending"
    left: bool = False
    secrets: EnvVersion = ""
    format: Annotated[int, between(FORMAT, FORMAT)] = FORMAT


def load(paths: AppPaths) -> List[Record]:
    """All readable records, oldest first. One that is damaged is left out: its release is not one to go back to."""
    found = []
    for path in paths.records.glob("*.json") if paths.records.is_dir() else ():
        try:
            found.append(_read(path))
        except (OSError, FrameError, typed.Mistakes):
            continue
    return sorted(found, key=lambda record: record.seq)


_READ: Dict[Path, Tuple[Tuple[int, int, int], Record]] = {}  # every step loads them, and a record is written as a whole


def _read(path: Path) -> Record:
    is_now = path.stat()
    mark = (is_now.st_ino, is_now.st_mtime_ns, is_now.st_size)
    if path not in _READ or _READ[path][0] != mark:
        _READ[path] = (mark, typed.decode(Record, parse_object(path.read_bytes())))
    return _READ[path][1]


def save(paths: AppPaths, record: Record) -> None:
    files.make_dir(paths.records)
    text = json.dumps(typed.encode(record), ensure_ascii=False, indent=1)
    files.write(paths.records / f"{record.release}.json", text, mode=0o600)


def remove(paths: AppPaths, record: Record) -> None:
    files.remove(paths.records / f"{record.release}.json")


def mark(paths: AppPaths, record: Record, outcome: Outcome) -> Record:
    """Write down how its deploy ended."""
    marked = replace(record, outcome=outcome, left=False)
    save(paths, marked)
    return marked


def mark_superseded(paths: AppPaths, left: Optional[Record], target: Record) -> None:
    """Who goes back to `target` has found the newer release bad: the next `rollback` must not lead to it."""
    if left and left.seq > target.seq:
        save(paths, replace(left, outcome="turned_back", left=True))


def env_version(env: Dict[str, str]) -> str:
    """A short name for exactly this environment of teal.toml, which the record holds too."""
    return hashlib.sha256(json.dumps(env, sort_keys=True).encode()).hexdigest()[:8]


def find(records: List[Record], release: Optional[str]) -> Optional[Record]:
    return next((record for record in records if record.release == release), None)


def find_by_number(records: List[Record], number: str) -> Optional[Record]:
    """The release of that sequence number: `7` or `0007`."""
    return next((record for record in records if number.isdigit() and record.seq == int(number)), None)


def previous_good(records: List[Record], live: Optional[str], paths: AppPaths) -> Optional[Record]:
    """Where `rollback` goes: the last good release before the live one, by sequence, that is still stored."""
    here = find(records, live)
    return next((r for r in reversed(list(stored_good(records, paths))) if here and r.seq < here.seq), None)


def stored_good(records: List[Record], paths: AppPaths) -> Iterator[Record]:
    return (r for r in records if r.outcome == "good" and paths.release(r.release).is_dir())


def next_seq(paths: AppPaths, records: List[Record]) -> int:
    """One more than any release that ever left a trace here."""
    traces = [path.name for folder in (paths.releases, paths.records) for path in folder.glob("[0-9]*-*")]
    numbers = [name.split("-")[0] for name in traces]
    return 1 + max([int(number) for number in numbers if number.isdecimal()] + [record.seq for record in records] + [0])
