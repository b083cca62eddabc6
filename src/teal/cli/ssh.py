"""teal ssh"""

import click

from teal.cli.options import GlobalOptions, global_options
from teal.stories.ssh import open_shell


@click.command("ssh", options_metavar="[OPTIONS]")
@global_options()
@click.argument("cmd", nargs=-1, metavar="[-- CMD...]", type=click.UNPROCESSED)
def command(options: GlobalOptions, cmd: tuple[str, ...]) -> None:
    """Log in to the server, or run a command there, with your own terminal.

    CMD gets its arguments as they are: no shell on the server reads $, *, | or ; in them. For a shell:
    teal ssh -- sh -c '…'
    """
    open_shell(options.load(), cmd)
