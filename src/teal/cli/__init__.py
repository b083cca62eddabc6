"""The command `teal`: the table of commands, and the one place where an error becomes text and an exit code."""

import importlib
import os
import signal
import sys
from typing import Any

import click

from teal import __version__
from teal.cli.options import everywhere
from teal.ground.errors import TealError

COMMANDS = {
    "init": "read this directory and write a teal.toml",
    "setup": "prepare a bare Debian or Ubuntu server for this app",
    "deploy": "build, upload, start on the idle color, check, switch, watch",
    "rollback": "go back to the previous release, at once if it still runs",
    "status": "show which release is live",
    "releases": "list the releases: where each comes from, how its deploy ended",
    "logs": "show what the program wrote",
    "doctor": "find what is wrong, and what to type",
    "env": "set, unset or list secrets in the environment of the program",
    "exec": "run one command on the server as the app would",
    "ssh": "log in to the server, or run a command there",
    "destroy": "remove this app from the server, and nothing else",
    "demo": "show everything on this machine; the first run also builds",
    "completion": "print completion for bash, zsh or fish",
}


class Commands(click.Group):
    """Imports a command when it is used, so that `teal --help` starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"teal.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=0.7)
            hint = f' Did you mean "{close[0]}"?' if close else ""
            raise click.UsageError(f'There is no command "{args[0][:40]}".{hint}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="teal %(version)s")
def teal(**given: Any) -> None:
    """Deploys a compiled program to a server without losing a request, and takes it back in an instant."""


for _option in reversed(everywhere()):
    _option(teal)


def main() -> None:
    """Run the command line and exit with its code. SIGTERM, as of a cancelled CI job, counts as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _open_closed_streams()
    try:
        code = teal.main(prog_name="teal", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except TealError as error:
        code = _show_error(error)
    except (click.Abort, KeyboardInterrupt):
        click.echo("teal: interrupted", err=True)
        code = 130
    except BrokenPipeError:  # the reader of standard output has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:  # noqa: BLE001 - the boundary
        code = _unexpected(error)
    sys.exit(code if isinstance(code, int) else 0)


def _open_closed_streams() -> None:
    """As with `>&-`: the next file to be opened would take the number of such a stream."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode))


def _show_error(error: TealError) -> int:
    from teal.ui.base import shown

    evidence = () if error.evidence_is_shown else error.evidence
    lines = [f"teal: {shown(error.message)}", *(f"  {shown(line)}" for line in evidence)]
    if error.hint:
        lines.append(f"  → {shown(error.hint)}")
    click.echo("\n".join(lines), err=True)
    return error.exit_code


def _unexpected(error: Exception) -> int:
    from teal.ui.base import shown

    if os.environ.get("TEAL_DEBUG"):
        raise error
    click.echo(f"teal: unexpected: {type(error).__name__}: {shown(str(error))}", err=True)
    click.echo("  → this is a fault of Teal; TEAL_DEBUG=1 shows where", err=True)
    return 1
