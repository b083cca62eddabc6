"""Lists the files below a directory: shallow paths first, a limited number, no output of a build."""

import os
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

MAX_ENTRIES = 20_000
SKIPPED = frozenset({"target", "node_modules", "vendor", "testdata", "third_party", "obj", "zig-out"})
SKIPPED_AT_TOP = frozenset({"dist", "build", "out"})  # deeper down, a package may have this name


def walk(root: Path) -> Iterator[str]:
    """Paths relative to root. The walk does not follow links to directories."""
    return islice(_files(root), MAX_ENTRIES)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(islice(entries, MAX_ENTRIES), key=lambda entry: entry.name)
    except OSError:
        return []


def is_file(entry: os.DirEntry[str]) -> bool:
    """Reading a pipe or a device could block forever."""
    try:
        return entry.is_file()
    except OSError:
        return False


def _files(root: Path) -> Iterator[str]:
    pending = deque([root])
    count = 0
    while pending and count < MAX_ENTRIES:
        folder = pending.popleft()
        for entry in entries(folder):
            count += 1
            if _is_dir(entry):
                pending.extend([Path(entry.path)] if _enters(entry.name, folder == root) else [])
            elif is_file(entry):
                yield Path(entry.path).relative_to(root).as_posix()


def _enters(name: str, at_top: bool) -> bool:
    hidden = name.startswith((".", "_"))
    return not (hidden or name in SKIPPED or (at_top and name in SKIPPED_AT_TOP))


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
