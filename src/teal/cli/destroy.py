"""teal destroy"""

import click

from teal.cli.options import GlobalOptions, confirm, global_options, wait_option
from teal.stories.destroy import destroy
from teal.ui import choose


@click.command("destroy")
@global_options()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@wait_option()
def command(options: GlobalOptions, yes: bool, wait: float) -> None:
    """Remove this app from the server: its processes, releases, DATA and route. Nothing else is touched."""
    file = options.load()
    confirm(f"Remove {file.config.app} from {file.config.server.target}, with all its releases and its data?", yes)
    ui = choose(options.manner)
    try:
        destroy(file, wait, ui)
    finally:
        ui.close()
    if not options.manner.quiet:
        click.echo(f"{file.config.app} is gone")
