"""How events are shown: live on a terminal, as plain lines elsewhere, as JSON lines for programs."""

from collections.abc import Iterator
from contextlib import contextmanager

from teal.ui.base import Manner, Ui


def choose(manner: Manner) -> Ui:
    """The one place that chooses a user interface."""
    from teal.ui.jsonlines import JsonLines
    from teal.ui.plain import Plain, Quiet

    if manner.json:
        return JsonLines()
    if manner.quiet:
        return Quiet()
    if manner.terminal:
        from teal.ui.live import Live

        return Live(manner)
    return Plain(manner)


@contextmanager
def opened(manner: Manner) -> Iterator[Ui]:
    """The user interface, closed at the end of the block, whatever happens in it."""
    ui = choose(manner)
    try:
        yield ui
    finally:
        ui.close()


__all__ = ["Manner", "Ui", "choose", "opened"]
