"""teal exec"""

import os
import select

import click

from teal.cli.options import GlobalOptions, global_options
from teal.ground.errors import Usage
from teal.stories.exec import run_command
from teal.ui.base import shown
from teal_host.wire.grammar import word

_STREAMS = {"stdout": 1, "stderr": 2}


@click.command("exec", context_settings={"allow_interspersed_args": False})
@global_options()
@click.argument("words", metavar="-- CMD...", nargs=-1, type=click.UNPROCESSED)
def command(options: GlobalOptions, words: tuple[str, ...]) -> int:
    """Run one command as the app would: in the directory of the live release, with its environment, as its user.

    Standard input is passed on unless it is a terminal. The exit code is that of the command; 128 plus the number of
    the signal that ended it; 127 when the command is not found, 126 when it cannot be started.
    """
    file = options.load()
    _check_words(words)
    end = run_command(file, words, _stdin(), _write)
    if end.message:
        click.echo(f"teal: {shown(end.message)}", err=True)
    return end.code


def _check_words(words: tuple[str, ...]) -> None:
    if not words or not words[0]:
        raise Usage("there is no command to run", hint="teal exec -- ls -l")
    for number, complaint in enumerate(map(word, words)):
        if complaint:
            raise Usage(f"word {number + 1} of the command {complaint}")


def _stdin() -> int | None:
    """A terminal is not passed on: the server side has none, and nobody would see the prompt."""
    try:
        return None if os.isatty(0) else os.dup(0)
    except OSError:  # it is closed
        return None


def _write(stream: str, data: bytes) -> None:
    """Write the bytes unchanged, without a buffer."""
    descriptor = _STREAMS[stream]
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # a process that shares the descriptor made it non-blocking
            select.select([], [descriptor], [])
