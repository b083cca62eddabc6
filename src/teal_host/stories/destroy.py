"""The story of a destroy: one app goes, and nothing else: its route first, then its processes, then its files."""

import contextlib
import os
from itertools import islice
from pathlib import Path
from typing import Iterator

from teal_host.ground import files, lock, trees
from teal_host.ground.errors import CannotRun, NotThere
from teal_host.state import agreement
from teal_host.state.app import App
from teal_host.supervisors.base import STOP_GRACE_S
from teal_host.wire.messages import Done
from teal_host.wire.requests import Destroy

_MOST_COUNTED = 100_000  # files, for a question


def destroy(app: App, request: Destroy) -> Done:
    """Can be repeated when it was interrupted.

    Raises NotThere when nothing of the app is here, NeedsHuman when a newer Teal has set it up.
    """
    if not (app.paths.home.is_dir() or app.paths.agreed.exists()):
        if app.host.paths.lock.parent.is_dir() and not request.dry_run:
            _remove_what_apps_shared(app)  # interrupted: a destroy at its very end, or a setup at its beginning
        raise NotThere(f"there is no app {app.name} here; nothing to remove")
    agreement.check_not_newer(app.paths)
    if request.dry_run:
        return Done(_how_much(app, request.keep_data))
    with lock.of_app(app.paths, "destroy", request.origin, request.wait_s):
        with app.step("close the route"):
            app.host.provisioning.close_route(app.paths)
        with app.step("stop"):
            app.host.supervisor.favor(None, app.paths.colors)
            for slot in app.paths.colors:
                app.host.supervisor.stop(slot, STOP_GRACE_S)
            app.host.provisioning.end_processes(app.paths)
        with app.step("remove"):
            app.host.provisioning.undo(app.paths)
            _remove_files(app, request.keep_data)
    _remove_what_apps_shared(app)
    stays = f"; its data stays in {app.paths.data}" if request.keep_data and app.paths.data.is_dir() else ""
    return Done(f"{app.name} is gone{stays}")


def _how_much(app: App, keep_data: bool) -> str:
    releases = len(files.names_in(app.paths.releases))
    count = f"{releases} release{'' if releases == 1 else 's'}"
    if keep_data or not app.paths.data.is_dir():
        return count
    sizes = list(islice(_sizes(app.paths.data), _MOST_COUNTED))
    least = "at least " if len(sizes) == _MOST_COUNTED else ""
    return f"{count} and {least}{sum(sizes):,} bytes of data in {app.paths.data}"


def _sizes(folder: Path) -> Iterator[int]:
    """Of the files; 0 for a directory. The program may remove files meanwhile, or nest directories without end."""
    folders = [folder]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                    yield 0
                else:
                    with contextlib.suppress(FileNotFoundError):
                        yield entry.stat(follow_symlinks=False).st_size


def _remove_files(app: App, keep_data: bool) -> None:
    """First what says that something is live or stored: a deploy after half a removal starts anew. Then whose files
    they were, and last the lock: while it is there, destroy can be repeated.
    """
    paths, provisioning = app.paths, app.host.provisioning
    trees.remove(paths.live)  # a hand may have made a directory of it
    colors = tuple(color.home for color in paths.colors)
    data = (paths.data,) if provisioning.owns_data(paths) and not keep_data else ()
    for folder in (*colors, paths.records, paths.releases, paths.logs, paths.sockets, *data):
        _remove(folder)
    if not (keep_data and paths.data.is_dir()):
        provisioning.remove_user(paths)
    trees.remove(paths.agreed.parent)
    trees.remove(paths.home)


def _remove(folder: Path) -> None:
    try:
        trees.remove(folder)
    except OSError as error:
        text = f"{folder} is not gone: {error.strerror}"
        raise CannotRun(text, [str(error.filename)] if error.filename else [], "try again") from None


def _remove_what_apps_shared(app: App) -> None:
    """With the last app."""
    with lock.shared(app.host.paths, app.name, "destroy"):
        if any(app.host.paths.apps()):
            return
        app.host.provisioning.remove_server_side()
        files.remove(app.host.paths.lock)
        for folder in app.host.paths.shared_folders():
            files.remove_if_empty(folder)
