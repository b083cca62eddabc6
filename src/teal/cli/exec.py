"""teal exec"""

import os
import select

import click

from teal.cli.options import Common, common
from teal.ground.errors import Usage
from teal.stories.exec import run_command
from teal.ui.base import shown
from teal_host.wire.grammar import word

_STREAMS = {"stdout": 1, "stderr": 2}


@click.command("exec", context_settings={"allow_interspersed_args": False})
@common()
@click.argument("words", metavar="-- CMD...", nargs=-1, type=click.UNPROCESSED)
def command(common: Common, words: tuple[str, ...]) -> int:
    """Run one command as the app would: in the live release's directory, with its environment, as its user.

    Standard input is passed on when it is not a terminal. The exit code is the command's own; 128 and the number of
    the signal that ended it; 127 when it is not there, 126 when it cannot be started.
    """
    file = common.load()
    _refuse(words)
    ended = run_command(file, words, _stdin(), _write)
    if ended.says:
        click.echo(f"teal: {shown(ended.says)}", err=True)
    return ended.code


def _refuse(words: tuple[str, ...]) -> None:
    if not words or not words[0]:
        raise Usage("there is no command to run", hint="teal exec -- ls -l")
    for number, complaint in enumerate(map(word, words)):
        if complaint:
            raise Usage(f"word {number + 1} of the command {complaint}")


def _stdin() -> int | None:
    """Not a terminal: a person who types is not a file, and the other side has no terminal."""
    try:
        return None if os.isatty(0) else os.dup(0)
    except OSError:  # there is none
        return None


def _write(stream: str, data: bytes) -> None:
    """At once and as it is; what is not taken whole is written on."""
    descriptor = _STREAMS[stream]
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # it was made so by who shares it
            select.select([], [descriptor], [])
