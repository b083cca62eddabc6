"""A listing of a server's files, to compare two moments."""

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

VOLATILE = (  # a running system changes these by itself
    *("/dev", "/proc", "/run", "/sys", "/tmp", "/var/cache", "/var/log", "/var/tmp"),
    *("/var/lib/apt/lists", "/var/lib/systemd/random-seed", "/var/lib/systemd/timers"),
)


def listing(root: Path, ignoring: Collection[str] = ()) -> dict[str, str]:
    """Each path with its type, mode, owner and content. `ignoring` leaves out paths with all below them."""
    return {path: _describe(root, path) for path in _paths(root, "", {*VOLATILE, *ignoring})}


def _paths(root: Path, directory: str, ignoring: Collection[str]) -> Iterator[str]:
    with os.scandir(f"{root}{directory}") as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{directory}/{entry.name}"
            if path in ignoring:
                continue
            yield path
            if entry.is_dir(follow_symlinks=False):
                yield from _paths(root, path, ignoring)


def _describe(root: Path, path: str) -> str:
    full = Path(f"{root}{path}")
    status = full.lstat()
    line = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if stat.S_ISLNK(status.st_mode):
        return f"{line} -> {full.readlink()}"
    if stat.S_ISREG(status.st_mode):
        with full.open("rb") as file:
            return f"{line} {status.st_size} {hashlib.file_digest(file, 'sha256').hexdigest()}"
    return line
