"""A person's own login on the server: this process becomes ssh, or multipass."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from teal import transports
from teal.config.read import ConfigFile
from teal.ground import run
from teal.ground.errors import CannotReach


def open_shell(file: ConfigFile, command: Sequence[str]) -> NoReturn:
    """Run the command on the server, or a shell. Raises Usage for a local app, CannotReach when ssh is missing."""
    argv = transports.login(file.config.server.target, command, sys.stdin.isatty() and sys.stdout.isatty())
    try:
        run.become(argv)
    except OSError as error:
        raise CannotReach(f"cannot start {argv[0]}: {error.strerror}", hint=transports.install_hint(argv[0])) from None
