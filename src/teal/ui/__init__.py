"""How events are shown: live on a terminal, as plain lines elsewhere, as JSON lines for programs."""

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


__all__ = ["Manner", "Ui", "choose"]
