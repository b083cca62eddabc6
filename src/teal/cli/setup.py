"""teal setup"""

from dataclasses import dataclass, field
from pathlib import Path

import click

from teal.cli.options import Common, common, confirm, wait_option
from teal.ground.errors import TealError
from teal.stories.result_json import as_json
from teal.stories.setup import SetupOptions, setup
from teal.ui import choose
from teal.ui.base import Ui, shown
from teal.ui.jsonlines import emit
from teal_host.wire.messages import Plan
from teal_host.wire.typed import encode


@click.command("setup")
@common(json=True)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("--deploy-key", type=click.Path(path_type=Path), metavar="FILE.pub", help="Let this key deploy this app.")
@click.option("--remove-key", metavar="FILE.pub|FINGERPRINT", help="Let this key deploy this app no more.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before a hand's edits are overwritten.")
@wait_option()
def command(
    common: Common, *, dry_run: bool, deploy_key: Path | None, remove_key: str | None, yes: bool, wait: float
) -> None:
    """Prepare a Debian or Ubuntu server for this app. Repeating it changes nothing.

    Packages, a user, directories, a unit, one nginx file: only what is missing or not as teal.toml wants it. Asks
    before it overwrites what somebody edited.
    """
    ui = choose(common.manner)
    told = _Told(dry_run=dry_run)
    try:
        file = common.load()
        told.app = file.config.app
        wish = SetupOptions(deploy_key, remove_key, dry_run, wait)
        told.plan = setup(file, wish, ui, lambda plan: _may(common, told, plan, yes))
    except TealError as error:
        ui.close()
        if common.manner.json:
            emit({**told.as_json(), "error": as_json(error)})
        raise
    _end(common, told, ui)


@dataclass
class _Told:
    """What is known of this setup, however it ends."""

    dry_run: bool
    app: str | None = None
    plan: Plan = field(default_factory=lambda: Plan(()))

    def as_json(self) -> dict[str, object]:
        return {"type": "result", "schema": 1, "app": self.app, "dry_run": self.dry_run, **encode(self.plan)}


def _may(common: Common, told: _Told, plan: Plan, yes: bool) -> bool:
    """Show the plan where there is something to decide; else each thing is told as it is done. Raises for a no."""
    told.plan = plan
    questions = _questions(told.app, plan)
    if questions:
        _show(common, plan)
    for question in questions:
        confirm(question, yes)
    return True


def _questions(app: str | None, plan: Plan) -> list[str]:
    lost = [name for change in plan.changes for name in change.unserves]
    edited = any(change.edited for change in plan.changes)
    names = f"{app} is live as {', '.join(lost)} now, and would not be any more. Is this teal.toml of that project?"
    return [names] * bool(lost) + ["Overwrite what was edited by hand?"] * edited


def _end(common: Common, told: _Told, ui: Ui) -> None:
    ui.close()
    if common.manner.json:
        emit(told.as_json())
        return
    if told.dry_run:
        _show(common, told.plan)
    if not common.manner.quiet:
        click.echo(_last_line(told.app, told.plan, told.dry_run))


def _show(common: Common, plan: Plan) -> None:
    if common.manner.json or not plan.changes:
        return
    click.echo("setup would:", err=True)
    for change in plan.changes:
        click.echo(f"  - {shown(change.says)}", err=True)
        text = change.text if common.manner.verbose else ()
        for line in (*text, *(change.diff if change.edited or common.manner.verbose else ())):
            click.echo(f"      {shown(line)}", err=True)


def _last_line(app: str | None, plan: Plan, dry_run: bool) -> str:
    if not plan.changes:
        return f"{app} is set up already; nothing to do"
    things = f"{len(plan.changes)} {'thing' if len(plan.changes) == 1 else 'things'} to do"
    return f"{things}; nothing was changed" if dry_run else f"{app} is set up; next: teal deploy"
