"""Which releases may go, and their removal. Never fails a deploy."""

from typing import List, Set, Tuple

from teal_host import environment, files, record, release, slot
from teal_host.app import App
from teal_host.errors import HostError
from teal_host.paths import AppPaths
from teal_host.record import Record
from teal_host.wire.values import dataclass

_RECORDS_KEPT = 200


@dataclass(frozen=True)
class Plan:
    """The names of releases whose files go, and of those of which also the record goes."""

    files: Tuple[str, ...]
    records: Tuple[str, ...]


def plan(records: List[Record], stored: Set[str], keep: int, in_use: Set[str]) -> Plan:
    """Keep so many good releases and whatever a color holds. What was refused or turned back does not count."""
    good = [entry.release for entry in records if entry.outcome == "good" and entry.release in stored]
    kept = set(good[-keep:]) | in_use
    old = {entry.release for entry in records[:-_RECORDS_KEPT]} - kept
    return Plan(tuple(sorted(stored - kept)), tuple(sorted(old)))


def prune(app: App, keep: int) -> None:
    """Remove what the plan says; a failure is said and nothing more."""
    records = record.load(app.paths)
    in_use = {name for name in slot.look(app.paths).releases.values() if name}
    chosen = plan(records, _stored(app.paths), keep, in_use)
    try:
        for name in chosen.files:
            _remove_files(app.paths, name)
        for name in chosen.records:
            files.remove(app.paths.records / f"{name}.json")
        environment.prune(app.paths)
    except (OSError, HostError) as error:
        app.warn(f"old releases could not be removed: {error}")


def _stored(paths: AppPaths) -> Set[str]:
    return {path.name for path in paths.releases.iterdir() if not path.name.startswith(".")}


def _remove_files(paths: AppPaths, name: str) -> None:
    release.remove(paths, name)
    for color in slot.colors():
        files.remove(paths.color(color).log(name))
