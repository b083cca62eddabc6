"""teal destroy"""

import sys

import click

from teal.cli.options import GlobalOptions, global_options, wait_option
from teal.config.read import ConfigFile
from teal.ground.errors import Interrupted, Usage
from teal.stories.destroy import DestroyOptions, destroy, how_much
from teal.ui import Ui, opened
from teal.ui.base import shown


@click.command("destroy")
@global_options()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--keep-data", is_flag=True, help="Keep the data directory, and the user that owns it.")
@wait_option()
def command(options: GlobalOptions, yes: bool, keep_data: bool, wait: float) -> None:
    """Remove this app from the server: its processes, releases, DATA and route. Nothing else is touched.

    Says how much goes, and asks for the name of the app.
    """
    file = options.load()
    wanted = DestroyOptions(wait, keep_data)
    with opened(options.manner) as ui:
        if not yes:
            _ask(file, wanted, ui)
        confirmation = destroy(file, wanted, ui)
    if not options.manner.quiet:
        click.echo(shown(confirmation))


def _ask(file: ConfigFile, wanted: DestroyOptions, ui: Ui) -> None:
    """Raises HostFailed when there is no such app, Usage without a terminal or for another name, and Interrupted for
    no name.
    """
    app, loss = file.config.app, f"{shown(how_much(file, wanted, ui))}, from {_target_in_words(file)}"
    if not sys.stdin.isatty():
        raise Usage(f"Remove {app}, with {loss}? There is no terminal to ask on", hint="add --yes if you mean it")
    click.echo(f"This removes {app}, with {loss}.", err=True)
    typed = click.prompt(f"Type {app} to remove it", default="", show_default=False, err=True)
    if typed != app:
        raise Usage(f"{typed} is not {app}: nothing was changed") if typed else Interrupted("nothing was changed")


def _target_in_words(file: ConfigFile) -> str:
    target = file.config.server.target
    return "this machine" if target == "local" else target
