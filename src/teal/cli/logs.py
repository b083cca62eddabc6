"""teal logs"""

from typing import Any

import click

from teal.cli.options import GlobalOptions, global_options
from teal.ground.errors import Interrupted, TealError
from teal.stories import queries
from teal.stories.result_json import as_json
from teal.ui.base import PAINT, shown
from teal.ui.jsonlines import ObjectWithList, emit
from teal_host.wire.messages import LogLine
from teal_host.wire.requests import Logs
from teal_host.wire.typed import encode


@click.command("logs")
@global_options(json=True)
@click.option("-f", "--follow", is_flag=True, help="Keep showing new lines; Ctrl-C ends it.")
@click.option("--color", type=click.Choice(list(PAINT)), help="Only this color.")
@click.option(
    "-n", "--lines", type=click.IntRange(0, 100_000), default=100, show_default=True, help="How many lines to show."
)
def command(options: GlobalOptions, follow: bool, color: Any, lines: int) -> None:
    """Show what the program wrote, each line with its color and release."""
    file = options.load()
    whole = ObjectWithList({"schema": 1, "app": file.config.app}, "lines")

    def on_line(line: LogLine) -> None:
        if not options.manner.json:
            click.echo(_text(line, options.manner.color))
        elif follow:
            emit(encode(line))
        else:
            whole.add(encode(line))

    try:
        remark = queries.logs(file, Logs(file.config.app, color, lines, follow), on_line)
    except KeyboardInterrupt:
        if follow:
            return
        whole.fail(as_json(Interrupted("interrupted")))
        raise
    except TealError as error:
        error.hint = options.manner.typed(error.hint)
        whole.fail(as_json(error))
        raise
    if options.manner.json and not follow:
        whole.close()
    if remark:
        click.echo(options.manner.typed(shown(remark)), err=True)


def _text(line: LogLine, paint: bool) -> str:
    head = f"{line.color:<5} {line.release.split('-')[0]}"
    return f"{click.style(head, fg=PAINT[line.color]) if paint else head} │ {shown(line.text)}"
