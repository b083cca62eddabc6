"""teal env"""

import sys
from collections.abc import Iterator
from datetime import datetime

import click

from teal.cli.options import GlobalOptions, global_options, wait_option
from teal.ground.errors import Usage
from teal.stories import queries
from teal.stories.secrets import Secret, check_not_declared, set_secret, unset_secret
from teal.ui import opened
from teal.ui.base import shown
from teal.ui.columns import columns, wrapped
from teal.ui.jsonlines import emit
from teal_host.wire.grammar import env_name, env_value
from teal_host.wire.reports import EnvReport, EnvRow
from teal_host.wire.typed import encode

_MOST = 32_768  # bytes of a value
_NO_VALUES = "a value is never an argument: others could see it in the list of processes, and the shell remembers it"


@click.group("env")
def command() -> None:
    """Set, unset or list secrets: variables in the environment of the program that nobody else can read.

    A change takes effect with the next deploy. A rollback restores the secrets that the release ran with.
    """


@command.command("set", context_settings={"ignore_unknown_options": True})
@global_options()
@click.argument("words", metavar="NAME", nargs=-1, type=click.UNPROCESSED)
@wait_option()
def set_(options: GlobalOptions, words: tuple[str, ...], wait: float) -> None:
    """Set NAME to a value from standard input, or from a prompt on a terminal.

    \b
    teal env set TOKEN                    prompts for the value
    teal env set KEY < key.pem            one newline at the end is removed
    """
    file = options.load()
    name = _name(words, hint="teal env set NAME prompts for the value, or reads it from standard input")
    check_not_declared(file, name)
    value = _value(name)
    with opened(options.manner) as ui:
        confirmation = set_secret(file, Secret(name, value), wait, ui)
    _say(options, confirmation)


@command.command("unset", context_settings={"ignore_unknown_options": True})
@global_options()
@click.argument("words", metavar="NAME", nargs=-1, type=click.UNPROCESSED)
@wait_option()
def unset_(options: GlobalOptions, words: tuple[str, ...], wait: float) -> None:
    """Remove NAME from the environment, from the next deploy on."""
    file = options.load()
    name = _name(words, hint="teal env unset NAME")
    with opened(options.manner) as ui:
        confirmation = unset_secret(file, name, wait, ui)
    _say(options, confirmation)


@command.command("list")
@global_options(json=True)
def list_(options: GlobalOptions) -> None:
    """List the names that are set, and since when; never a value."""
    report = queries.env(options.load())
    if options.manner.json:
        emit({"schema": 1, **encode(report)})
    else:
        width = columns(sys.stdout)
        lines = (part for line in _lines(report) for part in wrapped(options.manner.typed(shown(line)), width))
        click.echo("\n".join(lines))


def _name(words: tuple[str, ...], hint: str) -> str:
    """The only argument. No message repeats anything that could be a value."""
    if not words:
        raise Usage("which name?", hint=hint)
    if len(words) > 1 or "=" in words[0]:
        raise Usage(f"one NAME and nothing more; {_NO_VALUES}", hint=hint)
    complaint = env_name(words[0])
    if complaint:
        raise Usage(f"the name {complaint}", hint=_other_name(words[0]) or hint)
    return words[0]


def _other_name(name: str) -> str:
    """For a name that Teal sets."""
    if name == "PORT":
        return "[run] ports in teal.toml says which ports the program gets"
    return f"such as: teal env set APP_{name}" if env_name(f"APP_{name}") is None else ""


def _value(name: str) -> str:
    value = _prompted(name) if sys.stdin and sys.stdin.isatty() else _piped(name)
    complaint = env_value(value)
    if complaint:
        raise Usage(f"the value of {name} {complaint}")
    return value


def _prompted(name: str) -> str:
    answer = click.prompt(f"Value of {name} (not shown)", hide_input=True, default="", show_default=False, err=True)
    return str(answer)


def _piped(name: str) -> str:
    if not sys.stdin:
        raise Usage(f"there is no standard input to read the value of {name} from")
    data = sys.stdin.buffer.read(_MOST + 2)  # one newline, and one byte too many
    try:
        return data.removesuffix(b"\n").decode()
    except UnicodeDecodeError:
        too_long = len(data) > _MOST + 1  # the cut may be inside a character
        raise Usage(f"the value of {name} {'is longer than 32,768 bytes' if too_long else 'is not UTF-8'}") from None


def _say(options: GlobalOptions, text: str) -> None:
    if not options.manner.quiet:
        click.echo(shown(text))


def _lines(report: EnvReport) -> Iterator[str]:
    width = max((len(row.name) for row in report.names), default=0)
    for row in report.names:
        yield f"{row.name:<{width}}  since {_when(row)}{'' if row.live else '  not as the live release has it'}"
    if not report.names:
        yield "nothing is set: teal env set NAME"
    if report.pending:
        yield "the changes take effect with the next: teal deploy"


def _when(row: EnvRow) -> str:
    return datetime.fromisoformat(row.since).astimezone().strftime("%Y-%m-%d %H:%M:%S")
