"""Where a command comes from: the user, the machine, the commit, and whether the tree was dirty."""

import getpass
import os
import socket
from pathlib import Path

from teal import __version__
from teal.ground import run
from teal_host.wire.manifest import Origin


def origin(directory: Path | None = None) -> Origin:
    """With a directory, also its git commit, if it is in a repository."""
    commit = _git(directory, "rev-parse", "--short=12", "HEAD") if directory else None
    changes = _git(directory, "status", "--porcelain", "--untracked-files=no") if directory and commit else None
    return Origin(_line(_user()), _line(socket.gethostname()), _line(commit or ""), bool(changes), __version__)


def _git(directory: Path, *arguments: str) -> str | None:
    return run.read_output(["git", "-C", str(directory), *arguments], directory)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in some containers
        return str(os.getuid())


def _line(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:200]
