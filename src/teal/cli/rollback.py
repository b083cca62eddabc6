"""teal rollback"""

import click

from teal.cli.ending import tell_ending
from teal.cli.options import Common, common, wait_option
from teal.deploy import rollback
from teal.ended import Account
from teal.errors import Usage
from teal.ui import choose
from teal_host.wire.grammar import release_reference


@click.command("rollback")
@common(json=True)
@click.argument("release", required=False)
@wait_option()
def command(common: Common, release: str | None, wait: float) -> None:
    """Back to the last good release before the live one, or to RELEASE. At once when it still runs.

    Data is not rolled back.
    """
    ui = choose(common.manner)
    account = Account()
    with tell_ending(common.manner, ui, account) as ending:
        complaint = release_reference(release) if release is not None else None
        if complaint:
            raise Usage(complaint, hint="see: teal releases")
        ending.result = rollback(common.load(), release, wait, ui, account)
