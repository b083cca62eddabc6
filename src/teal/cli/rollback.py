"""teal rollback"""

import click

from teal.cli.options import GlobalOptions, global_options, wait_option
from teal.cli.result import show_result
from teal.ground.errors import Usage
from teal.stories.result_json import Account
from teal.stories.rollback import RollbackOptions, rollback
from teal.ui import choose
from teal_host.wire.grammar import release_reference


@click.command("rollback")
@global_options(json=True)
@click.argument("release", required=False)
@wait_option()
def command(options: GlobalOptions, release: str | None, wait: float) -> None:
    """Go back to the last good release before the live one, or to RELEASE. At once when it still runs.

    Data is not rolled back.
    """
    ui = choose(options.manner)
    account = Account()
    with show_result(options.manner, ui, account) as conclusion:
        complaint = release_reference(release) if release is not None else None
        if complaint:
            raise Usage(complaint, hint="see: teal releases")
        conclusion.result = rollback(options.load(), RollbackOptions(release, wait), ui, account)
