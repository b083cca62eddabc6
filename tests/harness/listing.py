"""A listing of a server's files, to compare two moments."""

import hashlib
import os
import stat
import time
from collections.abc import Collection, Iterator
from pathlib import Path

VOLATILE = (  # a running system changes these by itself
    *("/dev", "/proc", "/run", "/sys", "/tmp", "/var/cache", "/var/log", "/var/tmp"),
    *("/var/lib/apt/lists", "/var/lib/systemd/random-seed", "/var/lib/systemd/timers"),
)
RACY_NS = 1_000_000_000  # a file that changed so lately may change again within one tick of its ctime
_DIGESTS: dict[tuple[int, int, int, int], str] = {}


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
        return f"{line} {status.st_size} {_digest(full, status)}"
    return line


def _digest(file: Path, status: os.stat_result) -> str:
    """The digest of the content. A file whose inode is unchanged for a second or more is not read again."""
    inode = (status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns)
    if inode not in _DIGESTS:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if time.time_ns() - status.st_ctime_ns < RACY_NS:
            return digest
        _DIGESTS[inode] = digest
    return _DIGESTS[inode]
