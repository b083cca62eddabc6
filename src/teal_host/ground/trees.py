"""Removing a directory and all in it, whatever a hostile program has made of it."""

import contextlib
import errno
import itertools
import os
import stat
import time
from pathlib import Path
from typing import Iterator, List, Optional

from teal_host.ground import files

REMOVED_WITHIN_S = 300.0  # some ten million files
_NAMES_AT_ONCE = 10_000
_NO_LINK = os.O_DIRECTORY | os.O_NOFOLLOW


def remove(path: Path) -> None:
    """Remove a directory and all in it, also what was sealed; it may be gone already. Of a link the link alone.

    A hostile program may have filled it, and may still do so: no link is followed, no depth is too deep, and there is
    a deadline. Raises OSError.
    """
    if path.is_symlink() or not path.is_dir():
        files.remove(path)
        return
    files.witness(f"remove tree {path.name}")
    _remove_all(path, time.monotonic() + REMOVED_WITHIN_S)
    files.sync_dir(path.parent)


def _remove_all(path: Path, deadline: float) -> None:
    while True:
        with _opened(str(path)) as top:
            names = _some_names(top)
            while names:
                if time.monotonic() > deadline:
                    raise OSError(errno.EBUSY, f"not all of it is removed after {REMOVED_WITHIN_S:g} s", str(path))
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # changed meanwhile: look again
                    names += _remove_entry(top, names.pop())
        if not files.remove_if_empty(path):
            return


def _remove_entry(top: int, name: str) -> List[str]:
    """Removes it, if it is no directory or an empty one. Else its files go, its directories move up into `top`, and
    their new names are given: so no path grows, and three descriptors are enough for any depth.
    """
    if _unlinked(top, name):
        return []
    moved = []
    with _opened(name, top) as folder:
        for inner in _some_names(folder):
            if not _unlinked(folder, inner):
                with _opened(inner, folder):  # a directory must be writable to move
                    moved.append(f".{os.urandom(16).hex()}")
                    os.rename(inner, moved[-1], src_dir_fd=folder, dst_dir_fd=top)
    try:
        os.rmdir(name, dir_fd=top)
    except OSError as error:
        if error.errno not in files.NOT_EMPTY:
            raise  # what came meanwhile is met when `top` is read again
    return moved


def _some_names(folder: int) -> List[str]:
    """Not all at once: there may be millions."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in itertools.islice(entries, _NAMES_AT_ONCE)]


def _unlinked(folder: int, name: str) -> bool:
    """False for a directory, which unlink(2) leaves: EISDIR on Linux."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        return False
    return True


@contextlib.contextmanager
def _opened(name: str, above: Optional[int] = None) -> Iterator[int]:
    """A directory, and no link, that its owner may change from now on."""
    folder = _descriptor(name, above)
    try:
        with contextlib.suppress(PermissionError):
            os.fchmod(folder, stat.S_IRWXU)
        yield folder
    finally:
        os.close(folder)


def _descriptor(name: str, above: Optional[int]) -> int:
    try:
        return os.open(name, os.O_RDONLY | _NO_LINK, dir_fd=above)
    except PermissionError:
        return _unlocked(name, above)


def _unlocked(name: str, above: Optional[int]) -> int:
    """Of a directory that its owner may not read, such as one of mode 000. /proc names the very directory."""
    place = os.open(name, os.O_PATH | _NO_LINK, dir_fd=above)
    try:
        same = f"/proc/self/fd/{place}"
        os.chmod(same, stat.S_IRWXU)  # noqa: PTH101 - fchmod(2) takes no descriptor of this kind
        return os.open(same, os.O_RDONLY | os.O_DIRECTORY)
    finally:
        os.close(place)
