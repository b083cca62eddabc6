"""Take one app off this host, and nothing else: its way in first, then its processes, then its files."""

from teal_host.ground import files, lock
from teal_host.ground.errors import NotThere
from teal_host.preparations import undo
from teal_host.state import agreement
from teal_host.state.app import App
from teal_host.state.slots import all_colors
from teal_host.steps import switch
from teal_host.supervisors.base import STOP_GRACE_S
from teal_host.wire.messages import Destroy, Done


def destroy(app: App, request: Destroy) -> Done:
    """Raises NotThere when nothing of it is here. Can be repeated when it was interrupted."""
    if not (app.paths.home.is_dir() or app.paths.agreed.exists()):
        if app.host.paths.lock.parent.is_dir():
            _remove_what_was_for_all(app)  # interrupted: a destroy at its very end, or a setup at its beginning
        raise NotThere(f"there is no app {app.name} here; nothing to remove")
    with lock.held(app.paths.lock, "destroy", request.origin, request.wait_s):
        with app.step("close the route"):
            switch.close_route(app)
        with app.step("stop"):
            places = [app.paths.color(color) for color in all_colors()]
            app.host.supervisor.favor(None, places)
            for place in places:
                app.host.supervisor.stop(place, STOP_GRACE_S)
        with app.step("remove"):
            if app.host.needs_setup:
                with switch.shared(app, "destroy"):  # the file of all deploy keys is among it
                    undo.undo(app)
            _remove_files(app)
    _remove_what_was_for_all(app)
    return Done(f"{app.name} is gone")


def _remove_files(app: App) -> None:
    """First what says that something is live or stored: a deploy after half a removal starts anew. Then whose files
    they were, and last the lock: while it is there, destroy can be repeated.
    """
    paths, user = app.paths, agreement.user_name(app.name)
    files.remove_tree(paths.live)  # a hand may have made a directory of it
    colors = tuple(paths.color(color).home for color in all_colors())
    is_ours = not (app.host.needs_setup and undo.has_foreign_data(app, user))
    data = (paths.data,) if is_ours else ()
    for folder in (*colors, paths.records, paths.releases, paths.logs, *data):
        files.remove_tree(folder)
    if app.host.needs_setup:
        undo.undo_user(user)
    files.remove_tree(paths.agreed.parent)
    files.remove_tree(paths.home)


def _remove_what_was_for_all(app: App) -> None:
    """The last app takes it with it."""
    with switch.shared(app, "destroy"):
        if any(app.host.paths.apps()):
            return
        if app.host.needs_setup:
            undo.undo_server_side(app.host.paths)
        files.remove(app.host.paths.lock)
        for folder in app.host.paths.shared_folders():
            files.remove_if_empty(folder)
