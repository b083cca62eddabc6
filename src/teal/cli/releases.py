"""teal releases"""

import sys
from datetime import datetime

import click

from teal.cli.options import GlobalOptions, global_options
from teal.stories import queries
from teal.ui.base import shown, size
from teal.ui.columns import columns, table, wrapped
from teal.ui.jsonlines import emit
from teal_host.wire.reports import ReleaseRow
from teal_host.wire.typed import encode

_HEAD = ("", "release", "outcome", "sealed", "size", "commit", "env", "by", "")


@click.command("releases")
@global_options(json=True)
def command(options: GlobalOptions) -> None:
    """List the releases, newest first: where each comes from, and how its deploy ended."""
    report = queries.releases(options.load())
    if options.manner.json:
        emit({"schema": 2, **encode(report)})
    elif not report.releases and not report.unreadable:
        click.echo(options.manner.typed("no release yet: teal deploy"))
    else:
        width = columns(sys.stdout)
        click.echo("\n".join(table([_HEAD, *(_cells(row) for row in report.releases)], width)))
        for unreadable in report.unreadable:
            text = f"{shown(unreadable.release)}: {shown(unreadable.file)} cannot be read: {shown(unreadable.why)}"
            click.echo("\n".join(wrapped(text, width)))


def _cells(row: ReleaseRow) -> tuple[str, ...]:
    mark = "●" if row.live else "○" if row.color else " "
    sealed = datetime.fromisoformat(row.at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    commit = row.origin.commit + ("+changes" if row.origin.dirty else "") or "-"
    by = f"{row.origin.who}@{row.origin.machine}"
    where = row.color or ("" if row.stored else "(files pruned)")
    outcome = row.outcome.replace("_", " ")
    return (mark, row.release, outcome, sealed, size(row.bytes), shown(commit), row.env, shown(by), where)
