"""Which releases may go, and their removal. Never fails a deploy."""

from typing import List, Set, Tuple

from teal_host.ground import files
from teal_host.ground.errors import HostError
from teal_host.ground.paths import AppPaths
from teal_host.state import secrets
from teal_host.state.app import App
from teal_host.state.releases import Record
from teal_host.state.slots import all_colors
from teal_host.steps import release
from teal_host.steps.scene import Scene
from teal_host.wire.values import dataclass

_RECORDS_KEPT = 200


@dataclass(frozen=True)
class PrunePlan:
    """The names of releases whose files go, and of those of which also the record goes."""

    files: Tuple[str, ...]
    records: Tuple[str, ...]


def plan(records: List[Record], stored: Set[str], keep: int, needed: Set[str]) -> PrunePlan:
    """Keep so many releases that stayed well, and those that are needed anyway. What did not go live does not count."""
    well = [entry.release for entry in records if entry.outcome == "live" and entry.release in stored]
    kept = set(well[-keep:]) | needed
    old = {entry.release for entry in records[:-_RECORDS_KEPT]} - kept
    return PrunePlan(tuple(sorted(stored - kept)), tuple(sorted(old)))


def prune(app: App, scene: Scene, keep: int) -> None:
    """Remove what the plan says; a failure is a warning. What is not known is not removed.

    `scene`: as things are after the switch.
    """
    in_use = {name for name in scene.slots.releases.values() if name}
    unreadable = {entry.release for entry in scene.unreadable}
    removals = plan(scene.records, _stored(app.paths), keep, in_use | unreadable)
    for entry in scene.unreadable:
        app.warn(
            f"the record of {entry.release} cannot be read, so nothing of it is removed: {entry.path}: {entry.why}"
        )
    try:
        for name in removals.files:
            _remove_files(app.paths, name)
        for name in removals.records:
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
