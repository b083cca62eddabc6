"""Take back what setup has put on this server for one app. Each part may be gone already: destroy can be repeated."""

import os

from teal_host import files
from teal_host.app import App
from teal_host.preparations import account, deploy_key, unit


def undo(app: App) -> None:
    """After its processes have ended and its route is closed. The footprint itself goes with the app's files."""
    if app.paths.unit.exists():
        files.remove(app.paths.unit)
        unit.reload_systemd()
    if os.path.lexists(deploy_key.sudo_rule(app.host.paths, app.name)):
        deploy_key.withdraw(app.host.paths, app.name)


def undo_last(app: App, user: str) -> None:
    """After its files have gone: whose they were, and with the last app the server side."""
    account.remove_user(user)
    if not any(app.host.paths.apps()):
        files.remove(app.host.paths.installed)
