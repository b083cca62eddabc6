"""The picture of `teal status`: which color serves the visitors, in the colors of the post."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from teal.ui.base import PAINT, shown
from teal.ui.columns import packed, wrapped
from teal_host.wire.grammar import COLORS, other_color
from teal_host.wire.reports import Color, StatusReport

_STATE_WIDTH = len("standby") + 1
_BELOW = "  "  # before the colors, where they do not fit behind nginx
_AFTER_THE_DOT = 2


def draw(
    report: StatusReport, paint: bool, width: int | None = None, typed: Callable[[str], str] = lambda text: text
) -> str:
    """Several lines; `paint` adds the colors of a terminal, `width` is how many columns it has, `typed` makes commands
    of Teal what this user types.
    """
    picture = "\n".join(_lines(report, width))
    for color in COLORS if paint else ():
        picture = picture.replace(_dot(color, report), _painted(color, report), 1)
    return "\n".join([picture, *(part for line in _after(report) for part in wrapped(typed(line), width))])


def _lines(report: StatusReport, width: int | None) -> Iterator[str]:
    first = report.live or COLORS[0]
    rows = [_color(color, report) for color in (first, other_color(first))]
    if report.live is None:
        yield from packed(["browser ──▶ nginx ──▶ nothing yet ", report.app], width)
        path = ""
    else:
        path = f"browser ──▶ nginx {_address(report)} ──▶ "
        if width is not None and any(len(path + "  ".join(row)) > width for row in rows):
            yield path.rstrip()
            path = _BELOW
    for number, row in enumerate(rows):
        margin = " " * len(path)
        head, *rest = packed([(margin if number else path) + row[0], *row[1:]], width, margin + " " * _AFTER_THE_DOT)
        yield from (head, *rest)


def _dot(color: Color, report: StatusReport) -> str:
    return f"{'●' if report.live == color else '○'} {color:<5}"


def _painted(color: Color, report: StatusReport) -> str:
    return f"\033[38;2;{';'.join(map(str, PAINT[color]))}m{_dot(color, report)}\033[0m"


def _color(color: Color, report: StatusReport) -> list[str]:
    """The parts of a line, which stay whole."""
    row, dot = report.colors[color], _dot(color, report)
    if row.release is None:
        return [f"{dot} (empty)"]
    state_width = max(_STATE_WIDTH, *(len(_state(name, report)) for name in COLORS))  # releases stand below each other
    since = f"since {_since(row.since)}" if row.since and row.state == "running" else ""
    port = f":{row.port}" if row.port else "socket" if row.socket else ""
    return [f"{dot} {_state(color, report):<{state_width}} {row.release}", port, since]


def _state(color: Color, report: StatusReport) -> str:
    row = report.colors[color]
    if row.release is None:
        return ""
    role = "live" if report.live == color else "standby"
    if row.state == "running":
        return role
    return f"{role}, {row.state}" if role == "live" else row.state


def _after(report: StatusReport) -> Iterator[str]:
    yield ""
    if report.url and report.live:
        yield f"{report.url}"
    if report.previous:
        yield f"teal rollback goes to {report.previous}{'' if _stands_by(report) else ', which is started first'}"
    elif report.live is None:
        yield "nothing is deployed yet: teal deploy"
    else:
        yield "teal rollback has nothing to go back to: no stored release is known to have stayed well before"
    if report.last and report.last.message:
        last = report.last
        yield f"the last {last.command}, of {last.release}, at {_since(last.at)}: {shown(last.message)}"
    yield from _fallback(report)
    for note in report.notes:
        yield f"! {shown(note)}"


def _stands_by(report: StatusReport) -> bool:
    """Does the release still run to which a rollback goes?"""
    return any((row.release, row.state) == (report.previous, "running") for row in report.colors.values())


def _fallback(report: StatusReport) -> Iterator[str]:
    """Which color stands in for the live one, and whether it had to."""
    fallback = report.fallback
    if fallback is None or report.live is None:
        return
    if fallback.answered and fallback.since and fallback.last:
        times = f"since {_since(fallback.since)}, the last at {_since(fallback.last)}"
        requests = f"{fallback.answered:,} requests were answered by the standby"
        yield f"{requests}, because {report.live} gave no answer: {times}"
    if fallback.color and report.colors[report.live].state != "running":
        yield f"{fallback.color} answers GET and HEAD meanwhile"


def _address(report: StatusReport) -> str:
    return (report.url or "").removeprefix("http://").rstrip("/")


def _since(text: str) -> str:
    """Local time; the day only when it is not today."""
    when = datetime.fromisoformat(text).astimezone()
    today = datetime.now(UTC).astimezone().date()
    return when.strftime("%H:%M:%S" if when.date() == today else "%Y-%m-%d %H:%M")
