"""What a server's files are, so that two moments can be compared."""

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

VOLATILE = (  # what a running system changes by itself
    *("/dev", "/proc", "/run", "/sys", "/tmp", "/var/cache", "/var/log", "/var/tmp"),
    *("/var/lib/apt/lists", "/var/lib/systemd/random-seed", "/var/lib/systemd/timers"),
)


def listing(root: Path, ignoring: Collection[str] = ()) -> dict[str, str]:
    """For each path its type, mode and owner, and what is in it; `ignoring` leaves out a path and all below it."""
    return {path: _told(root, path) for path in _paths(root, "", {*VOLATILE, *ignoring})}


def _paths(root: Path, directory: str, ignoring: Collection[str]) -> Iterator[str]:
    with os.scandir(f"{root}{directory}") as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{directory}/{entry.name}"
            if path in ignoring:
                continue
            yield path
            if entry.is_dir(follow_symlinks=False):
                yield from _paths(root, path, ignoring)


def _told(root: Path, path: str) -> str:
    full = Path(f"{root}{path}")
    found = full.lstat()
    line = f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid}"
    if stat.S_ISLNK(found.st_mode):
        return f"{line} -> {full.readlink()}"
    if stat.S_ISREG(found.st_mode):
        with full.open("rb") as file:
            return f"{line} {found.st_size} {hashlib.file_digest(file, 'sha256').hexdigest()}"
    return line
