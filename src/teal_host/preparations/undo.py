"""Take back what setup has put on this server for one app. Each part may be gone already: destroy can be repeated."""

import os
from pathlib import Path
from typing import Iterator

from teal_host.ground import files
from teal_host.ground.paths import HostPaths
from teal_host.preparations import account, deploy_key, unit
from teal_host.state import footprint
from teal_host.state.app import App
from teal_host.state.footprint import Footprint


def undo(app: App) -> None:
    """After its processes have ended and its route is closed, while what apps share is held.

    The footprint itself goes with the app's files.
    """
    before = footprint.load(app.paths)
    has_keys = bool(before.keys) or os.path.lexists(deploy_key.sudo_rule(app.host.paths, app.name))
    for path in _of_this_app_alone(app.host.paths, before):
        files.remove(path)
        files.remove(files.unfinished(path))
    unit.reload_systemd()
    if has_keys:
        deploy_key.withdraw(app.host.paths, app.name)
    for folder in before.made:
        if Path(folder) not in (app.paths.data, app.paths.releases):
            files.remove_if_empty(Path(folder))


def has_foreign_data(app: App, user: str) -> bool:
    """Setup refuses such an app, but a hand may have put something else there since."""
    return account.is_foreign(app.paths.data, footprint.load(app.paths), user)


def undo_user(user: str) -> None:
    """After its files have gone: whose they were."""
    account.remove_user(user)


def undo_server_side(host: HostPaths) -> None:
    """With the last app."""
    files.remove(host.installed)
    if host.installed.parent.is_dir():
        files.remove(files.unfinished(host.installed))


def _of_this_app_alone(host: HostPaths, before: Footprint) -> Iterator[Path]:
    """A folder of a file may be gone with everything in it."""
    paths = [Path(name) for name in before.files]
    return (path for path in paths if path != deploy_key.authorized(host) and path.parent.is_dir())
