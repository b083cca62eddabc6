"""Who could have made or changed a file. Reads only."""

import os
import stat
from pathlib import Path

from teal_host.ground import files

_ROOT = 0
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH  # an access list that lets others write shows in the group's bit
_MOST_LINKS = 40  # the kernel follows no more


def only_root_writes(path: str) -> bool:
    """Can root alone have made or change this file? Every directory and link on the way counts.

    A file that does not exist counts as root's if only root could make the file.
    """
    if not path.startswith("/"):
        return False
    reached, remaining, links = Path("/"), list(reversed(Path(path).parts[1:])), 0
    try:
        while _is_roots(reached) and remaining and links <= _MOST_LINKS:
            name = remaining.pop()
            step = reached.parent if name == ".." else reached / name
            target = files.link_target(step) if _is_roots(step) else None
            if target:
                links += 1
                remaining += reversed(target.parts)  # the first part of an absolute target leads to the root
            else:
                reached = step
        return _is_roots(reached) and not remaining
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False


def everybody_reaches(path: str) -> bool:
    """May any user look at this path, and at whatever it leads to? Of what does not exist, the way to it counts."""
    reached, remaining, links = Path("/"), list(reversed(Path(path).parts[1:])), 0
    while remaining and links <= _MOST_LINKS:
        status = files.status_of(reached)
        if status is None or not status.st_mode & stat.S_IXOTH:
            return status is None
        name = remaining.pop()
        step = reached.parent if name == ".." else reached / name
        target = files.link_target(step)
        if target:
            links += 1
            remaining += reversed(target.parts)
        else:
            reached = step
    return not remaining


def _is_roots(path: Path) -> bool:
    """Only the owner of a link counts: its mode says nothing, and its directory decides who may replace the link."""
    status = os.lstat(path)
    return status.st_uid == _ROOT and (stat.S_ISLNK(status.st_mode) or not status.st_mode & _OTHERS_WRITE)
