"""May nginx connect to a color's socket? Teal is root, and may; a mode, an owner, an access list can shut nginx out.

So a process tries it with a worker's rights, and where the worker sees the path. A look at modes would guess.
"""

import contextlib
import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Optional

from teal_host.ground.errors import CannotRun
from teal_host.ground.run import run
from teal_host.proxies.nginx.program import Worker
from teal_host.state.seams import Closed
from teal_host.wire.sources import PYTHON

_TRIED_S = 20.0
_CONNECT = """
import os, socket, sys
path, root, user, group, *groups = sys.argv[1:]
os.chroot(root)
os.setgroups([int(number) for number in groups])
os.setgid(int(group))
os.setuid(int(user))
connection = socket.socket(socket.AF_UNIX)
connection.setblocking(False)
try:
    connection.connect(path)
except (BlockingIOError, ConnectionRefusedError):  # a full queue shuts nobody out, nor does a program that is gone
    pass
except OSError as error:
    print(error.strerror)
"""
_LEAVE = (
    "let the program leave its umask (0007), its directory and the group of the socket as they are, "
    "or give the socket mode 660"
)
_ANOTHER_GROUP = "teal setup, because nginx has another group than at the last setup; then the same command again"


def closed_to(worker: Worker, path: Path) -> Optional[Closed]:
    """Raises CannotRun where that cannot be tried."""
    rights = [worker.user, worker.group, *sorted(worker.groups)]
    argv = [PYTHON, "-I", "-S", "-c", _CONNECT, str(path), f"/proc/{worker.pid}/root", *map(str, rights)]
    tried = run(argv, _TRIED_S)
    if tried.code:
        raise CannotRun("it cannot be tried whether nginx reaches the socket", tried.lines[-1:])
    return _closed(worker, path, tried.output.strip()) if tried.output else None


def _closed(worker: Worker, path: Path, why: str) -> Closed:
    shown = f"the socket has {_rights(path)}, its directory {_rights(path.parent)}"
    text = f"nginx may not connect to {path} as {_user(worker.user)} ({why}): {shown}"
    return Closed(text, _LEAVE if _is_as_set_up(worker, path.parent.stat()) else _ANOTHER_GROUP)


def _is_as_set_up(worker: Worker, folder: os.stat_result) -> bool:
    """Has setup given the directory a group of nginx's? Only the program itself gives it the program's own group."""
    with contextlib.suppress(KeyError):
        return folder.st_gid in {*worker.groups, pwd.getpwuid(folder.st_uid).pw_gid}
    return folder.st_gid in worker.groups


def _rights(path: Path) -> str:
    """For a person."""
    with contextlib.suppress(OSError):
        status, lists = path.lstat(), os.listxattr(path, follow_symlinks=False)
        listed = " with an access list" if "system.posix_acl_access" in lists else ""
        return f"mode {stat.S_IMODE(status.st_mode):03o}{listed} of {_user(status.st_uid)}:{_group(status.st_gid)}"
    return "gone"


def _user(number: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return str(number)


def _group(number: int) -> str:
    with contextlib.suppress(KeyError):
        return grp.getgrgid(number).gr_name
    return str(number)
