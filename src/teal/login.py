"""A person's own login on the server: this process becomes ssh, or multipass."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from teal import programs, transports
from teal.config.read import ConfigFile
from teal.errors import CannotReach


def login(file: ConfigFile, command: Sequence[str]) -> NoReturn:
    """Run the command there, or a shell. Raises Usage where there is no server, CannotReach without the program."""
    argv = transports.login(file.config.server.target, command, sys.stdin.isatty() and sys.stdout.isatty())
    try:
        programs.become(argv)
    except OSError as error:
        raise CannotReach(f"cannot start {argv[0]}: {error.strerror}", hint=transports.brought_by(argv[0])) from None
