"""Take one app off this host, and nothing else: its way in first, then its processes, then its files."""

from teal_host import files, lock, slot, switch
from teal_host.app import App
from teal_host.bring_live import STOP_GRACE_S
from teal_host.errors import NotThere
from teal_host.wire.messages import Destroy, Done


def destroy(app: App, request: Destroy) -> Done:
    """Raises NotThere when nothing of it is here. Can be repeated when it was interrupted."""
    if not (app.paths.home.is_dir() or app.paths.agreed.exists()):
        raise NotThere(f"there is no app {app.name} here; nothing to remove")
    with lock.held(app.paths.lock, "destroy", request.origin, request.wait_s):
        with app.step("close the route"):
            switch.close_route(app)
        with app.step("stop"):
            for color in slot.colors():
                app.host.supervisor.stop(app.paths.color(color), STOP_GRACE_S)
        with app.step("remove"):
            files.remove_tree(app.paths.data)
            files.remove_tree(app.paths.agreed.parent)
            files.remove_tree(app.paths.home)
    _remove_empty_parents(app)
    return Done(f"{app.name} is gone")


def _remove_empty_parents(app: App) -> None:
    """The last app takes with it what was made for all of them."""
    with switch.shared(app, "destroy"):
        if any(app.host.paths.apps()):
            return
        files.remove(app.host.paths.lock)
        for folder in app.host.paths.shared_folders():
            files.remove_if_empty(folder)
