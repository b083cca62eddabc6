"""What a person types at home, so that a hint works where it is read."""

import os
from pathlib import Path

_SERVER = Path("/")


def on_server(command: str) -> str:
    """The command that a person types at home to run this one on the server as root."""
    sudo = "sudo " * ("SUDO_USER" in os.environ)
    return f"teal ssh -- {sudo}{command}"


def on_host(root: Path, command: str) -> str:
    """The same for a machine that may be the person's own: `root` is that of its paths."""
    return on_server(command) if root == _SERVER else command
