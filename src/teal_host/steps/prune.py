"""Which releases may go, and their removal. Never fails a deploy."""

from typing import List, Set, Tuple

from teal_host.ground import files
from teal_host.ground.errors import HostError
from teal_host.ground.paths import AppPaths
from teal_host.state import releases, secrets
from teal_host.state.app import App
from teal_host.state.releases import Record
from teal_host.state.slots import all_colors, read_slots
from teal_host.steps import release
from teal_host.wire.values import dataclass

_RECORDS_KEPT = 200


@dataclass(frozen=True)
class PrunePlan:
    """The names of releases whose files go, and of those of which also the record goes."""

    files: Tuple[str, ...]
    records: Tuple[str, ...]


def plan(records: List[Record], stored: Set[str], keep: int, in_use: Set[str]) -> PrunePlan:
    """Keep so many good releases and whatever a color holds. What was refused or turned back does not count."""
    good = [entry.release for entry in records if entry.outcome == "good" and entry.release in stored]
    kept = set(good[-keep:]) | in_use
    old = {entry.release for entry in records[:-_RECORDS_KEPT]} - kept
    return PrunePlan(tuple(sorted(stored - kept)), tuple(sorted(old)))


def prune(app: App, keep: int) -> None:
    """Remove what the plan says; a failure is said and nothing more."""
    records = releases.load(app.paths)
    in_use = {name for name in read_slots(app.paths).releases.values() if name}
    chosen = plan(records, _stored(app.paths), keep, in_use)
    try:
        for name in chosen.files:
            _remove_files(app.paths, name)
        for name in chosen.records:
            files.remove(app.paths.records / f"{name}.json")
        secrets.prune(app.paths)
    except (OSError, HostError) as error:
        app.warn(f"old releases could not be removed: {error}")


def _stored(paths: AppPaths) -> Set[str]:
    return {path.name for path in paths.releases.iterdir() if not path.name.startswith(".")}


def _remove_files(paths: AppPaths, name: str) -> None:
    release.remove(paths, name)
    for color in all_colors():
        files.remove(paths.color(color).log(name))
