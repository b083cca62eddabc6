"""teal status"""

from typing import Any

import click

from teal.cli.options import Common, common
from teal.stories import queries
from teal.ui.jsonlines import emit
from teal.ui.picture import draw
from teal_host.wire.reports import StatusReport
from teal_host.wire.typed import encode


@click.command("status")
@common(json=True)
def command(common: Common) -> None:
    """Show which color serves, which stands by, and where `teal rollback` would go."""
    report = queries.status(common.load())
    if common.manner.json:
        emit(as_json(report))
    else:
        click.echo(draw(report, paint=_painted(common)))


def as_json(report: StatusReport) -> dict[str, Any]:
    """The contract (schemas/status.json)."""
    return {"schema": 1, **encode(report)}


def _painted(common: Common) -> bool:
    import os
    import sys

    return common.manner.color and (sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR")))
