"""The names below a directory: shallow ones first, never too many, nothing that a build made."""

import os
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

ENTRIES = 20_000
SKIPPED = frozenset({"target", "node_modules", "vendor", "testdata", "third_party", "obj", "zig-out"})
SKIPPED_AT_TOP = frozenset({"dist", "build", "out"})  # deeper down they may be packages of that name


def walk(root: Path) -> Iterator[str]:
    """Paths relative to root; links to directories are not followed."""
    return islice(_files(root), ENTRIES)


def entries(place: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as entries:
            return sorted(islice(entries, ENTRIES), key=lambda entry: entry.name)
    except OSError:
        return []


def is_file(entry: os.DirEntry[str]) -> bool:
    """A pipe or a device would block the reader."""
    try:
        return entry.is_file()
    except OSError:
        return False


def _files(root: Path) -> Iterator[str]:
    waiting = deque([root])
    seen = 0
    while waiting and seen < ENTRIES:
        place = waiting.popleft()
        for entry in entries(place):
            seen += 1
            if _is_dir(entry):
                waiting.extend([Path(entry.path)] if _enters(entry.name, place == root) else [])
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
