"""Can nginx's workers reach the marker of the live color? Each directory on the way must let them through."""

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional, Sequence

from teal_host.ground.paths import AppPaths
from teal_host.proxies.nginx.program import NginxProgram, Worker


@dataclass(frozen=True)
class Directory:
    path: Path
    mode: int
    user: int
    group: int


def obstacle(program: NginxProgram, paths: AppPaths) -> Optional[Path]:
    """The first directory that stops nginx's workers, if any does."""
    worker = program.worker()
    return blocked(worker, list(_directories(paths))) if worker else None


def blocked(worker: Worker, directories: Sequence[Directory]) -> Optional[Path]:
    return next((directory.path for directory in directories if not _lets_through(directory, worker)), None)


def _lets_through(directory: Directory, worker: Worker) -> bool:
    if worker.user == 0:
        return True
    if directory.user == worker.user:
        return bool(directory.mode & stat.S_IXUSR)
    bit = stat.S_IXGRP if directory.group in worker.groups else stat.S_IXOTH
    return bool(directory.mode & bit)


def _directories(paths: AppPaths) -> Iterator[Directory]:
    """Every directory on the way to the markers. A mode says nothing where a directory has an access list."""
    homes = [color.home for color in paths.colors]
    for path in [*reversed(paths.home.parents), paths.home, *homes]:
        with contextlib.suppress(FileNotFoundError):  # that of a color which never ran, or a destroy has removed it
            if "system.posix_acl_access" not in os.listxattr(path):
                status = path.stat()
                yield Directory(path, status.st_mode, status.st_uid, status.st_gid)
