"""Which releases may go, and their removal. Never fails a deploy."""

from functools import partial
from typing import Callable, List, Set, Tuple

from teal_host.ground import files
from teal_host.ground.errors import HostError, as_host_error
from teal_host.ground.paths import AppPaths
from teal_host.state import secrets
from teal_host.state.app import App
from teal_host.state.releases import Record
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
    remaining = set(well[-keep:]) | needed
    old = {entry.release for entry in records[:-_RECORDS_KEPT]} - remaining
    return PrunePlan(tuple(sorted(stored - remaining)), tuple(sorted(old)))


def prune(app: App, scene: Scene, keep: int) -> None:
    """Remove what the plan says. What cannot be removed is a warning, and the rest goes; what is not known stays.

    `scene`: as things are after the switch.
    """
    in_use = {name for name in scene.slots.releases.values() if name} | _way_forward(scene, keep)
    unreadable = {entry.release for entry in scene.unreadable}
    removals = plan(scene.records, _stored(app.paths), keep, in_use | unreadable)
    for entry in scene.unreadable:
        app.warn(
            f"the record of {entry.release} cannot be read, so nothing of it is removed: {entry.path}: {entry.why}"
        )
    for name in removals.files:
        _try(app, f"release {name}", partial(_remove_files, app.paths, name))
    for name in removals.records:
        _try(app, f"the record of {name}", partial(files.remove, app.paths.records / f"{name}.json"))
    _try(app, "old secrets", partial(secrets.prune, app.paths))


def _try(app: App, what: str, remove: Callable[[], None]) -> None:
    try:
        remove()
    except (OSError, HostError) as error:
        app.warn(f"{what} could not be removed: {as_host_error(error).message}")


def _way_forward(scene: Scene, keep: int) -> Set[str]:
    """Newer releases than the live one that a person went back from: they stayed well, and may be wanted again."""
    here = scene.live.seq if scene.live else 0
    newer = [entry.release for entry in scene.records if entry.seq > here and entry.outcome == "superseded"]
    return set(newer[-keep:])


def _stored(paths: AppPaths) -> Set[str]:
    return {name for name in files.names_in(paths.releases) if not name.startswith(".")}


def _remove_files(paths: AppPaths, name: str) -> None:
    release.remove(paths, name)
    for color in paths.colors:
        files.remove(color.log(name))
