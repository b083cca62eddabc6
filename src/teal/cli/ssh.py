"""teal ssh"""

import click

from teal.cli.options import Common, common
from teal.stories.ssh import open_shell


@click.command("ssh", options_metavar="[OPTIONS]")
@common()
@click.argument("cmd", nargs=-1, metavar="[-- CMD...]", type=click.UNPROCESSED)
def command(common: Common, cmd: tuple[str, ...]) -> None:
    """Log in to the server, or run a command there, with your own terminal."""
    open_shell(common.load(), cmd)
