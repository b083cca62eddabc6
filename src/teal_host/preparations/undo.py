"""Removes what setup made on this server for one app. Parts may be gone already, so that destroy can be repeated."""

import os
from pathlib import Path
from typing import Iterator

from teal_host.ground import files, systemctl
from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.preparations import account, deploy_key, ports, renewal, sockets
from teal_host.proxies import certbot
from teal_host.proxies.certbot import Lineage
from teal_host.state import footprint
from teal_host.state.footprint import Footprint


def undo(host: HostPaths, app: AppPaths) -> None:
    """The app's processes have ended and nginx no longer serves it. The caller holds the lock of what apps share.

    The footprint itself goes with the app's files.
    """
    before = footprint.load(app)
    has_keys = bool(before.keys) or os.path.lexists(deploy_key.sudo_rule(host, app.app))
    has_keys = has_keys or account.find(deploy_key.USER) is not None  # a destroy was killed after it took the keys
    certbot.delete(Lineage(app))
    ports.withdraw(app)
    sockets.unmount(app)
    for path in _of_this_app_alone(host, before):
        files.remove(path)
        files.remove(files.unfinished(path))
    systemctl.reload_units()
    if has_keys:
        deploy_key.end_all(host, before.deploy_keys)
        deploy_key.withdraw(host, app.app)
    for folder in before.made:
        if Path(folder) not in (app.data, app.releases):
            files.remove_if_empty(Path(folder))


def undo_server_side(host: HostPaths) -> None:
    """The last app goes, and the server side with it."""
    renewal.withdraw(host)
    files.remove(host.installed)
    if host.installed.parent.is_dir():
        files.remove(files.unfinished(host.installed))


def _of_this_app_alone(host: HostPaths, before: Footprint) -> Iterator[Path]:
    """The directory of a file may be gone with all its files."""
    paths = [Path(name) for name in before.files]
    return (path for path in paths if path != deploy_key.authorized(host) and path.parent.is_dir())
