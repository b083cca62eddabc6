"""What a person types at home, so that a hint works where it is read."""

import os
from pathlib import Path

_SERVER = Path("/")
MEND = "mend that file, then the same command again"
CHANGE_DIRECTIVES = "change [proxy] directives in teal.toml; the routes are as they were"


def on_server(command: str) -> str:
    """The command that a person types at home to run this one on the server as root."""
    sudo = "sudo " * ("SUDO_USER" in os.environ)
    return f"teal ssh -- {sudo}{command}"


def on_host(root: Path, command: str) -> str:
    """The same for a machine that may be the person's own: `root` is that of its paths."""
    return on_server(command) if root == _SERVER else command


def make_room(root: Path, directory: Path, of: str = "bytes") -> str:
    """On the disk of this directory, wherever its room went. `of`: the bytes or the inodes that ran out."""
    counted = {"bytes": "", "inodes": "--inodes "}[of]
    look = on_host(root, f"du {counted}-xh -d2 {_mount_point(directory)} | sort -h | tail")
    return f"make room; the largest are shown by: {look}"


def _mount_point(directory: Path) -> Path:
    return next(path for path in (directory, *directory.parents) if os.path.ismount(path))


def name_app(name: str) -> str:
    """Where another site has the port for any name."""
    return f'name this one: [server] domains = ["{name}"] (or another http_port)'
