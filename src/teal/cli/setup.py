"""teal setup"""

from pathlib import Path

import click

from teal.cli.options import Common, common, confirm, wait_option
from teal.setup import Wish, setup
from teal.ui import choose
from teal.ui.base import shown
from teal.ui.jsonlines import emit
from teal_host.wire.messages import Plan
from teal_host.wire.typed import encode


@click.command("setup")
@common(json=True)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("--deploy-key", type=click.Path(path_type=Path), metavar="FILE.pub", help="Let this key deploy this app.")
@click.option("--remove-key", metavar="FILE.pub|FINGERPRINT", help="Let this key deploy this app no more.")
@click.option("-y", "--yes", is_flag=True, help="Overwrite what a hand has edited in Teal's files.")
@wait_option()
def command(
    common: Common, *, dry_run: bool, deploy_key: Path | None, remove_key: str | None, yes: bool, wait: float
) -> None:
    """Prepare a Debian or Ubuntu server for this app. Repeating it changes nothing.

    Says what it does, then does exactly that: packages, a user, directories, a unit, one nginx file.
    """
    file = common.load()
    ui = choose(common.manner)

    def agreed(plan: Plan) -> bool:
        _show(common, plan)
        if any(change.edited for change in plan.changes):
            confirm("Overwrite what was edited by hand?", yes)
        return True

    try:
        plan = setup(file, Wish(deploy_key, remove_key, dry_run, wait), ui, agreed)
    finally:
        ui.close()
    if dry_run:
        _show(common, plan)
    if common.manner.json:
        emit({"type": "result", "schema": 1, "app": file.config.app, "dry_run": dry_run, **encode(plan)})
    else:
        click.echo(_last_line(file.config.app, plan, dry_run))


def _show(common: Common, plan: Plan) -> None:
    if common.manner.json or common.manner.quiet:
        return
    for change in plan.changes:
        click.echo(f"  - {shown(change.says)}", err=True)
        for line in change.diff:
            click.echo(f"      {shown(line)}", err=True)


def _last_line(app: str, plan: Plan, dry_run: bool) -> str:
    if not plan.changes:
        return f"{app} is set up already; nothing to do"
    things = f"{len(plan.changes)} {'thing' if len(plan.changes) == 1 else 'things'}"
    return f"would do {things}; nothing was changed" if dry_run else f"{app} is set up; next: teal deploy"
