"""Where a color's socket is: a small file system of the color's own, on which the kernel follows no link.

An app may write where its socket is. A link there would lead nginx, with nginx's rights, to another program's socket;
and on /run itself an app could fill what the whole machine needs. Nor can a color fill what the other one needs.
"""

import os
from functools import partial
from pathlib import Path
from typing import Iterator

from teal_host.ground import files, systemctl
from teal_host.ground.errors import CannotRun
from teal_host.ground.paths import AppPaths
from teal_host.preparations import change as setup_change
from teal_host.preparations.base import Intent
from teal_host.preparations.change import DesiredFile, SetupChange, note
from teal_host.supervisors.unit_text import mount_text

_WITHIN_S = 30.0


def changes(intent: Intent) -> Iterator[SetupChange]:
    """Nothing where no socket is agreed on."""
    paths = intent.app.paths
    for color in paths.colors if intent.agreed.sockets else ():
        if not paths.socket_mount(color).exists() and intent.app.host.supervisor.pids(color):
            yield note(f"{color.color} runs: until its next start it can take the place of the other color's socket")
        desired, folder = DesiredFile(paths, paths.socket_mount(color), mount_text(color)), color.socket.parent
        yield from setup_change.write(desired, partial(_mount, desired, folder), f", which mounts {folder}")


def unmount(paths: AppPaths) -> None:
    """The app's processes have ended."""
    for color in paths.colors:
        gone = partial(_is_no_mount, color.socket.parent)
        if not gone():
            systemctl.order("stop", paths.socket_mount(color).name, _WITHIN_S, gone)


def _is_no_mount(folder: Path) -> bool:
    return not os.path.ismount(folder)


def _mount(desired: DesiredFile, folder: Path) -> None:
    """Tried now, because only an old mount(8) or an odd container refuses it. Later each start of a color needs it."""
    desired.write()
    systemctl.reload_units()
    name, asked = desired.path.name, ("LoadState", "ActiveState")
    tried = systemctl.order("start", name, _WITHIN_S, lambda: systemctl.has_failed(systemctl.properties(name, asked)))
    if tried.code:
        files.remove(desired.path)
        systemctl.reload_units()
        text = f"{folder} cannot be mounted, so {{socket}} cannot be had here"
        raise CannotRun(text, tried.lines[-3:], "use {port} in [run] command, then teal setup")
