"""The last words of deploy and rollback: true, whatever happened; with --json the last line is always the result."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from teal.ground.errors import Interrupted, TealError
from teal.stories.result_json import Account, ended_badly, ended_well
from teal.ui import Manner, Ui
from teal.ui.base import PAINT, shown, size
from teal.ui.jsonlines import emit
from teal_host.wire.messages import Result


@dataclass
class Conclusion:
    result: Result | None = None


@contextmanager
def show_result(manner: Manner, ui: Ui, account: Account) -> Iterator[Conclusion]:
    """Tell how it ended, then let an error go on to the boundary."""
    ending = Conclusion()
    try:
        yield ending
    except KeyboardInterrupt:
        error = Interrupted("interrupted; nothing was changed")
        _tell_error(manner, ui, account, error)
        raise error from None
    except TealError as error:
        _tell_error(manner, ui, account, error)
        raise
    ui.close()
    if ending.result is not None:
        _tell_result(manner, account, ending.result)


def _tell_error(manner: Manner, ui: Ui, account: Account, error: TealError) -> None:
    ui.close()
    if manner.json:
        emit(ended_badly(account, error))


def _tell_result(manner: Manner, account: Account, result: Result) -> None:
    if manner.json:
        emit(ended_well(account, result))
    elif not manner.quiet:
        click.echo("\n".join(_lines(manner, account, result)))


def _lines(manner: Manner, account: Account, result: Result) -> list[str]:
    if result.outcome == "planned":
        return ["would:", *(f"  - {shown(step)}" for step in result.plan)]
    color = click.style(f"● {result.color}", fg=PAINT.get(result.color or "")) if manner.color else f"● {result.color}"
    said = "is live" if result.outcome == "live" else "is live already; nothing to do"
    lines = [f"{color} {said}: {result.release}  {result.url}"]
    sent = f", sent {size(account.bytes_sent)}" + (
        f" for {size(account.artifact_bytes)}" if account.artifact_bytes else ""
    )
    lines.append(f"  took {account.seconds.get('total', 0.0):.1f} s{sent}")
    if result.previous:
        lines.append(f"  back with: teal rollback   (to {result.previous})")
    return lines
