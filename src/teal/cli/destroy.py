"""teal destroy"""

import click

from teal.cli.options import Common, common, confirm, wait_option
from teal.stories.destroy import destroy
from teal.ui import choose


@click.command("destroy")
@common()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@wait_option()
def command(common: Common, yes: bool, wait: float) -> None:
    """Take this app off the server: its processes, releases, DATA and route. Nothing else is touched."""
    file = common.load()
    confirm(f"Remove {file.config.app} from {file.config.server.target}, with all its releases and its data?", yes)
    ui = choose(common.manner)
    try:
        destroy(file, wait, ui)
    finally:
        ui.close()
    if not common.manner.quiet:
        click.echo(f"{file.config.app} is gone")
