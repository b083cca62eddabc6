"""teal env"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import click

from teal.cli.options import Common, common, wait_option
from teal.ground.errors import Usage
from teal.stories import queries
from teal.stories.secrets import check_not_declared, set_secret, unset_secret
from teal.ui import Ui, choose
from teal.ui.base import shown
from teal.ui.jsonlines import emit
from teal_host.wire.grammar import env_name, env_value
from teal_host.wire.reports import EnvReport, EnvRow
from teal_host.wire.typed import encode

_MOST = 32_768  # bytes of a value
_NOT_HERE = "a value is never an argument: others could see it in the list of processes, and the shell remembers it"


@click.group("env")
def command() -> None:
    """Set, unset or list what the program finds in its environment and nobody else may see.

    A change takes effect with the next deploy, and a rollback brings back what the release before ran with.
    """


@command.command("set", context_settings={"ignore_unknown_options": True})
@common()
@click.argument("words", metavar="NAME", nargs=-1, type=click.UNPROCESSED)
@wait_option()
def set_(common: Common, words: tuple[str, ...], wait: float) -> None:
    """Set NAME to what comes from standard input, or is typed when asked.

    \b
    teal env set TOKEN                    asks for it
    teal env set KEY < key.pem            one newline at the end is taken off
    """
    file = common.load()
    name = _name(words, hint="teal env set NAME asks for it, or takes it from standard input")
    check_not_declared(file, name)
    value = _value(name)
    with _told(common) as ui:
        said = set_secret(file, name, value, wait, ui)
    _say(common, said)


@command.command("unset", context_settings={"ignore_unknown_options": True})
@common()
@click.argument("words", metavar="NAME", nargs=-1, type=click.UNPROCESSED)
@wait_option()
def unset_(common: Common, words: tuple[str, ...], wait: float) -> None:
    """Set NAME no more, from the next deploy on."""
    file = common.load()
    name = _name(words, hint="teal env unset NAME")
    with _told(common) as ui:
        said = unset_secret(file, name, wait, ui)
    _say(common, said)


@command.command("list")
@common(json=True)
def list_(common: Common) -> None:
    """List the names that are set, and since when; never a value."""
    report = queries.env(common.load())
    if common.manner.json:
        emit({"schema": 1, **encode(report)})
    else:
        click.echo("\n".join(_lines(report)))


def _name(words: tuple[str, ...], hint: str) -> str:
    """The one word that may be there; nothing that could be a value is ever repeated."""
    if not words:
        raise Usage("which name?", hint=hint)
    if len(words) > 1 or "=" in words[0]:
        raise Usage(f"one NAME and nothing more; {_NOT_HERE}", hint=hint)
    complaint = env_name(words[0])
    if complaint:
        raise Usage(f"what was given {complaint}", hint=hint)
    return words[0]


def _value(name: str) -> str:
    value = _asked(name) if sys.stdin and sys.stdin.isatty() else _piped(name)
    complaint = env_value(value)
    if complaint:
        raise Usage(f"the value of {name} {complaint}")
    return value


def _asked(name: str) -> str:
    answer = click.prompt(f"Value of {name} (not shown)", hide_input=True, default="", show_default=False, err=True)
    return str(answer)


def _piped(name: str) -> str:
    if not sys.stdin:
        raise Usage(f"there is no standard input to take the value of {name} from")
    data = sys.stdin.buffer.read(_MOST + 2)  # one newline, and one byte that is too much
    try:
        return data.removesuffix(b"\n").decode()
    except UnicodeDecodeError:
        too_long = len(data) > _MOST + 1  # it may be cut in a character
        raise Usage(f"the value of {name} {'is longer than 32,768 bytes' if too_long else 'is not UTF-8'}") from None


@contextmanager
def _told(common: Common) -> Iterator[Ui]:
    ui = choose(common.manner)
    try:
        yield ui
    finally:
        ui.close()


def _say(common: Common, said: str) -> None:
    if not common.manner.quiet:
        click.echo(shown(said))


def _lines(report: EnvReport) -> Iterator[str]:
    width = max((len(row.name) for row in report.names), default=0)
    for row in report.names:
        yield f"{row.name:<{width}}  since {_when(row)}{'' if row.live else '  not live yet'}"
    if not report.names:
        yield "nothing is set: teal env set NAME"
    if report.pending:
        yield "what was changed takes effect with the next: teal deploy"


def _when(row: EnvRow) -> str:
    return datetime.fromisoformat(row.since).astimezone().strftime("%Y-%m-%d %H:%M:%S")
