"""Where a command comes from: the user, the machine, the commit, and whether the tree was dirty."""

import getpass
import os
import socket
from pathlib import Path

from teal import __version__
from teal.ground import git
from teal_host.wire.manifest import Origin


def origin(directory: Path | None = None) -> Origin:
    """With a directory, also its git commit, if it is in a repository."""
    commit = git.commit(directory) if directory else ""
    dirty = bool(directory and commit and git.has_changes(directory))
    return Origin(_line(_user()), _line(socket.gethostname()), _line(commit), dirty, __version__)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in some containers
        return str(os.getuid())


def _line(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:200]
