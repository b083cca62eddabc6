"""A person's own login on the server: this process becomes ssh, or multipass."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from teal import transports
from teal.config.read import ConfigFile
from teal.ground import run
from teal.ground.errors import CannotReach


def open_shell(file: ConfigFile, command: Sequence[str]) -> NoReturn:
    """Run the command there, or a shell. Raises Usage where there is no server, CannotReach without the program."""
    argv = transports.login(file.config.server.target, command, sys.stdin.isatty() and sys.stdout.isatty())
    try:
        run.become(argv)
    except OSError as error:
        raise CannotReach(f"cannot start {argv[0]}: {error.strerror}", hint=transports.brought_by(argv[0])) from None
