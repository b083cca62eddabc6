"""Take one app off this host, and nothing else: its way in first, then its processes, then its files."""

from teal_host import agreement, files, lock, slot, switch
from teal_host.app import App
from teal_host.bring_live import STOP_GRACE_S
from teal_host.errors import NotThere
from teal_host.paths import AppPaths
from teal_host.preparations import undo
from teal_host.wire.messages import Destroy, Done


def destroy(app: App, request: Destroy) -> Done:
    """Raises NotThere when nothing of it is here. Can be repeated when it was interrupted."""
    if not (app.paths.home.is_dir() or app.paths.agreed.exists()):
        if app.host.paths.lock.exists():
            _remove_empty_parents(app)  # a destroy was interrupted at its very end
        raise NotThere(f"there is no app {app.name} here; nothing to remove")
    with lock.held(app.paths.lock, "destroy", request.origin, request.wait_s):
        with app.step("close the route"):
            switch.close_route(app)
        with app.step("stop"):
            places = [app.paths.color(color) for color in slot.colors()]
            app.host.supervisor.favor(None, places)
            for place in places:
                app.host.supervisor.stop(place, STOP_GRACE_S)
        with app.step("remove"):
            if app.host.needs_setup:
                undo.undo(app)
            _remove_files(app.paths)
    if app.host.needs_setup:
        undo.undo_last(app, agreement.user_name(app.name))
    _remove_empty_parents(app)
    return Done(f"{app.name} is gone")


def _remove_files(paths: AppPaths) -> None:
    """First what says that something is live or stored: a deploy after half a removal starts anew. Last the lock."""
    files.remove(paths.live)
    colors = tuple(paths.color(color).home for color in slot.colors())
    for folder in (*colors, paths.records, paths.releases, paths.logs, paths.data, paths.agreed.parent, paths.home):
        files.remove_tree(folder)


def _remove_empty_parents(app: App) -> None:
    """The last app takes with it what was made for all of them."""
    with switch.shared(app, "destroy"):
        if any(app.host.paths.apps()):
            return
        files.remove(app.host.paths.lock)
        for folder in app.host.paths.shared_folders():
            files.remove_if_empty(folder)
