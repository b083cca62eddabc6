"""The last line of deploy and rollback. It is true, whatever happened; with --json it is always the result."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from teal.ground.errors import Interrupted, TealError
from teal.stories.result_json import Account, failure_json, success_json
from teal.ui import Manner, Ui
from teal.ui.base import PAINT, shown, size
from teal.ui.columns import columns, packed, wrapped
from teal.ui.jsonlines import emit
from teal_host.wire.messages import Result


@dataclass
class Conclusion:
    result: Result | None = None


@contextmanager
def show_result(manner: Manner, ui: Ui, account: Account) -> Iterator[Conclusion]:
    """Show the result, or the error as JSON; the error goes on to cli/__init__.py."""
    conclusion = Conclusion()
    try:
        yield conclusion
    except KeyboardInterrupt:
        error = Interrupted("interrupted; nothing was changed")
        _show_error(manner, ui, account, error)
        raise error from None
    except TealError as error:
        _show_error(manner, ui, account, error)
        raise
    ui.close()
    if conclusion.result is not None:
        _show_success(manner, account, conclusion.result)


def _show_error(manner: Manner, ui: Ui, account: Account, error: TealError) -> None:
    ui.close()
    error.hint = manner.typed(error.hint)
    if manner.json:
        emit(failure_json(account, error))


def _show_success(manner: Manner, account: Account, result: Result) -> None:
    if manner.json:
        emit(success_json(account, result))
    elif not manner.quiet:
        click.echo("\n".join(_lines(manner, account, result, columns(sys.stdout))))


def _lines(manner: Manner, account: Account, result: Result, width: int | None) -> list[str]:
    if result.plan:
        steps = [wrapped(shown(step), width, head="  - ") for step in result.plan]
        return ["would:", *(line for lines in steps for line in lines)]
    color = f"● {result.color}"
    state = "is live" if result.outcome == "live" else "is live already; nothing to do"
    first, *lines = packed([f"{color} {state}: {result.release}", result.url or ""], width)
    painted = click.style(color, fg=PAINT.get(result.color or "")) if manner.color else color
    figures = f"{_seconds(account)}, sent {size(account.bytes_sent)}{_of_artifact(account, result)}"
    lines += wrapped(figures, width, head="  ")
    if result.replaced:
        lines.append(manner.typed(f"  forward again with: teal rollback {result.replaced}"))  # one line: it is copied
    elif result.previous:
        lines.append(manner.typed(f"  back with: teal rollback   (to {result.previous})"))
    return [first.replace(color, painted, 1), *lines]


def _seconds(account: Account) -> str:
    """When the release was live, and how long the watch took after that."""
    total, watch = account.seconds.get("total", 0.0), account.seconds.get("watch", 0.0)
    return f"live after {total - watch:.1f} s, watched for {watch:.1f} s" if watch else f"took {total:.1f} s"


def _of_artifact(account: Account, result: Result) -> str:
    """Bytes sent also count the messages and the server side that the pipe starts, which a person would not expect."""
    if not account.artifact_bytes or result.outcome == "unchanged":
        return " (Teal's own)"
    rest = "; the rest is Teal's own" if account.bytes_sent > account.artifact_bytes else ""
    return f" (the artifact has {size(account.artifact_bytes)}{rest})"
