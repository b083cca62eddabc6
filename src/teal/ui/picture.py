"""The picture of `teal status`: which color serves the visitors, in the colors of the post."""

from collections.abc import Iterator
from datetime import UTC, datetime

from teal.ui.base import PAINT, shown
from teal_host.wire.grammar import COLORS, other_color
from teal_host.wire.reports import Color, StatusReport

_STATE_WIDTH = len("standby") + 1


def draw(report: StatusReport, paint: bool) -> str:
    """Several lines; `paint` adds the colors of a terminal."""
    return "\n".join([*_lines(report, paint), *_after(report)])


def _lines(report: StatusReport, paint: bool) -> Iterator[str]:
    first = report.live or COLORS[0]
    second = other_color(first)
    texts = [_color(color, report, paint) for color in (first, second)]
    if report.live is None:
        yield f"browser ──▶ nginx ──▶ nothing yet   {report.app}"
        yield from texts
        return
    path = f"browser ──▶ nginx {_address(report)} ──▶ "
    yield path + texts[0]
    yield " " * len(path) + texts[1]


def _color(color: Color, report: StatusReport, paint: bool) -> str:
    dot = "●" if report.live == color else "○"
    text = f"{dot} {color:<5}"
    painted = f"\033[38;2;{';'.join(map(str, PAINT[color]))}m{text}\033[0m" if paint else text
    return f"{painted} {_release(color, report)}"


def _release(color: Color, report: StatusReport) -> str:
    row = report.colors[color]
    if row.release is None:
        return "(empty)"
    width = max(len(_state(name, report)) for name in COLORS)  # the releases stand below each other
    port = f"  :{row.port}" if row.port else ""
    since = f"  since {_since(row.since)}" if row.since and row.state == "running" else ""
    return f"{_state(color, report):<{max(width, _STATE_WIDTH)}} {row.release}{port}{since}"


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
    told = report.fallback
    if told is None or report.live is None:
        return
    if told.answered and told.since and told.last:
        times = f"since {_since(told.since)}, the last at {_since(told.last)}"
        yield f"{told.answered:,} requests were answered by the standby, because {report.live} gave no answer: {times}"
    if told.color and report.colors[report.live].state != "running":
        yield f"{told.color} answers GET and HEAD meanwhile"


def _address(report: StatusReport) -> str:
    return (report.url or "").removeprefix("http://").rstrip("/")


def _since(text: str) -> str:
    """Local time; the day only when it is not today."""
    when = datetime.fromisoformat(text).astimezone()
    today = datetime.now(UTC).astimezone().date()
    return when.strftime("%H:%M:%S" if when.date() == today else "%Y-%m-%d %H:%M")
