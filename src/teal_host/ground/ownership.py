"""Who could have put a file where it is. Looks only."""

import os
import stat
from pathlib import Path

_ROOT = 0
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH  # an access list that lets others write shows in the group's bit
_MOST_LINKS = 40  # the kernel follows no more


def only_root_writes(path: str) -> bool:
    """Can root alone have made or change this file? Every directory and link on the way counts.

    A file that does not exist is root's, too, if only root could make it.
    """
    if not path.startswith("/"):
        return False
    place, remaining, links = Path("/"), list(reversed(Path(path).parts[1:])), 0
    try:
        while _is_roots(place) and remaining and links <= _MOST_LINKS:
            name = remaining.pop()
            step = place.parent if name == ".." else place / name
            if _is_roots(step) and step.is_symlink():
                links += 1
                target = step.readlink()
                remaining += reversed(target.parts)  # of an absolute one the first part leads to the root
            else:
                place = step
        return _is_roots(place) and not remaining
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False


def _is_roots(path: Path) -> bool:
    """Of a link the owner alone counts: its mode says nothing, and its directory decides who may replace it."""
    status = os.lstat(path)
    return status.st_uid == _ROOT and (stat.S_ISLNK(status.st_mode) or not status.st_mode & _OTHERS_WRITE)
