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
    return dict(_described(str(root), "", {*VOLATILE, *ignoring}))


def _described(root: str, directory: str, ignoring: Collection[str]) -> Iterator[tuple[str, str]]:
    """Without a Path for each of ten thousand files: many tests compare listings."""
    with os.scandir(f"{root}{directory}") as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{directory}/{entry.name}"
            if path in ignoring:
                continue
            yield path, _describe(entry)
            if entry.is_dir(follow_symlinks=False):
                yield from _described(root, path, ignoring)


def _describe(entry: "os.DirEntry[str]") -> str:
    status = entry.stat(follow_symlinks=False)
    line = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if stat.S_ISLNK(status.st_mode):
        return f"{line} -> {os.readlink(entry.path)}"
    if stat.S_ISREG(status.st_mode):
        return f"{line} {status.st_size} {_digest(entry.path, status)}"
    return line


def _digest(file: str, status: os.stat_result) -> str:
    """The digest of the content. A file whose inode is unchanged for a second or more is not read again."""
    inode = (status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns)
    if inode not in _DIGESTS:
        with open(file, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if time.time_ns() - status.st_ctime_ns < RACY_NS:
            return digest
        _DIGESTS[inode] = digest
    return _DIGESTS[inode]
