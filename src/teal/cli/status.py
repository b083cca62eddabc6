"""teal status"""

import sys
from typing import Any

import click

from teal.cli.doctor import NEEDS_HUMAN
from teal.cli.options import GlobalOptions, global_options
from teal.stories import queries
from teal.ui.columns import columns
from teal.ui.jsonlines import as_contract, emit
from teal.ui.picture import draw
from teal_host.wire.reports import StatusReport
from teal_host.wire.typed import encode


@click.command("status")
@global_options(json=True)
def command(options: GlobalOptions) -> int:
    """Show which color serves, which stands by, and where `teal rollback` would go.

    Exit codes: 0 · 10 somebody else listens on the port of the live color · 4 cannot reach the server
    """
    report = queries.status(options.load())
    if options.manner.json:
        emit(as_json(report))
    else:
        click.echo(draw(report, options.paints_results, columns(sys.stdout), options.manner.typed))
    return NEEDS_HUMAN if report.live and report.colors[report.live].taken_by else 0


def as_json(report: StatusReport) -> dict[str, Any]:
    """The contract (schemas/status.json)."""
    return {"schema": 1, **as_contract(encode(report))}
