"""teal demo"""

from dataclasses import replace

import click

from teal.cli.options import GlobalOptions, global_options
from teal.demo.story import DemoResult, Narrator, run
from teal.ground.errors import TealError
from teal.stories.result_json import as_json
from teal.ui import opened
from teal.ui.base import Manner
from teal.ui.jsonlines import emit
from teal.ui.picture import draw
from teal_host.wire.reports import StatusReport


@click.command("demo")
@global_options(json=True)
def command(options: GlobalOptions) -> None:
    """Deploy, replace, refuse and take back a real Go program here, under load. No server, no root; nothing stays."""
    manner = options.manner
    result = DemoResult()
    try:
        with opened(manner) as ui:
            run(Narrator(ui, lambda text: _say(manner, text), lambda report: _show(manner, report)), result)
    except TealError as error:
        if manner.json:
            emit({**_as_json(result), "error": as_json(error)})
        raise
    if manner.json:
        emit(_as_json(result))
    else:
        click.echo(_summary(result))


def _say(manner: Manner, text: str) -> None:
    if manner.json:
        emit({"type": "note", "level": "info", "text": text})
    elif not manner.quiet:
        click.echo(click.style(f"\n{text}", bold=True) if manner.color else f"\n{text}", err=True)


def _show(manner: Manner, report: StatusReport) -> None:
    if not (manner.json or manner.quiet):
        lines = draw(replace(report, notes=()), manner.color).splitlines()[:2]
        click.echo("\n".join(f"   {line}" for line in lines), err=True)


def _as_json(result: DemoResult) -> dict[str, object]:
    return {
        "type": "result",
        "schema": 1,
        "deploys": result.deploys,
        "rollbacks": result.rollbacks,
        "requests": result.tally.requests,
        "failed": result.tally.failed,
        "answered_by": dict(result.tally.answered_by),
        "seconds_total": round(result.seconds_total, 2),
    }


def _summary(result: DemoResult) -> str:
    shares = ", ".join(f"{color} {count:,}" for color, count in result.tally.answered_by)
    return (
        f"\n{result.deploys} deploys (one refused), {result.rollbacks} rollback, "
        f"{result.tally.requests:,} requests ({shares} named their color), {result.tally.failed} failed, "
        f"in {result.seconds_total:.0f} s.\nYour own: teal init, then teal deploy."
    )
