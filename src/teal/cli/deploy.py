"""teal deploy"""

from pathlib import Path
from typing import Any

import click

from teal.cli.options import GlobalOptions, confirm, global_options, wait_option
from teal.cli.result import show_result
from teal.stories.deploy import DeployOptions, deploy
from teal.stories.result_json import Account
from teal.ui import choose

_EVICTS = (
    "--evict ends all of {} on {} first, without a way back. Nothing is served until the new release is healthy. Go on?"
)


class _Named(click.Path):
    """A path that is not empty: an empty variable must not ship this whole directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(value or self.fail("it is empty", param, ctx), param, ctx)


@click.command("deploy")
@global_options(json=True)
@click.option("--artifact", type=_Named(path_type=Path), help="Ship this file or directory; build nothing.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@click.option(
    "--evict", is_flag=True, help="After a break-in: end all of the app first (nothing is served), with no way back."
)
@click.option("-y", "--yes", is_flag=True, help="With --evict: do not ask.")
@wait_option()
def command(options: GlobalOptions, artifact: Path | None, dry_run: bool, wait: float, **evicting: bool) -> None:
    """Build here, start the release beside the live one, and switch the traffic when it is healthy.

    \b
    Exit codes: 0 live and confirmed, or nothing to do · 2 usage · 3 configuration · 4 cannot reach
    5 build failed · 6 unhealthy, traffic untouched · 7 rolled back · 8 another command runs
    9 outcome unknown · 10 needs a human · 130 interrupted
    """
    evict = evicting["evict"]
    ui = choose(options.manner)
    account = Account()
    with show_result(options.manner, ui, account) as conclusion:
        loaded = options.load()
        if evict and not dry_run:
            confirm(_EVICTS.format(loaded.config.app, loaded.config.server.target), evicting["yes"])
        conclusion.result = deploy(loaded, DeployOptions(artifact, wait, dry_run, evict), ui, account)
