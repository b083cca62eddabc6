"""The picture of `teal status`: who serves whom, in the colors of the post."""

from collections.abc import Iterator
from datetime import UTC, datetime

from teal.ui.base import PAINT, shown
from teal_host.wire.grammar import COLORS, other_color
from teal_host.wire.reports import Color, ColorReport, StatusReport


def draw(report: StatusReport, paint: bool) -> str:
    """Several lines; with terminal colors only when asked for."""
    return "\n".join([*_lines(report, paint), *_after(report)])


def _lines(report: StatusReport, paint: bool) -> Iterator[str]:
    first = report.live or COLORS[0]
    second = other_color(first)
    if report.live is None:
        yield f"browser ──▶ nginx ──▶ nothing yet   {report.app}"
        for color in (first, second):
            yield _color(color, report, paint)
        return
    way = f"browser ──▶ nginx {_where(report)} ──▶ "
    yield way + _color(first, report, paint)
    yield " " * len(way) + _color(second, report, paint)


def _color(color: Color, report: StatusReport, paint: bool) -> str:
    found = report.colors[color]
    live = report.live == color
    dot = "●" if live else "○"
    text = f"{dot} {color:<5}"
    painted = f"\033[38;2;{';'.join(map(str, PAINT[color]))}m{text}\033[0m" if paint else text
    return f"{painted} {_what(found, live)}"


def _what(found: ColorReport, live: bool) -> str:
    if found.release is None:
        return "(empty)"
    role = "live" if live else "standby"
    state = role if found.state == "running" else f"{role}, {found.state}" if live else found.state
    port = f"  :{found.port}" if found.port else ""
    since = f"  since {_since(found.since)}" if found.since and found.state == "running" else ""
    return f"{state:<8} {found.release}{port}{since}"


def _after(report: StatusReport) -> Iterator[str]:
    yield ""
    if report.url and report.live:
        yield f"{report.url}"
    if report.previous:
        yield f"teal rollback goes to {report.previous}"
    elif report.live is None:
        yield "nothing is deployed yet: teal deploy"
    if report.last and report.last.says:
        last = report.last
        yield f"the last {last.command}, of {last.release}, at {_since(last.at)}: {shown(last.says)}"
    for note in report.notes:
        yield f"! {shown(note)}"


def _where(report: StatusReport) -> str:
    return (report.url or "").removeprefix("http://").rstrip("/")


def _since(text: str) -> str:
    """Local time; the day only when it is not today."""
    when = datetime.fromisoformat(text).astimezone()
    today = datetime.now(UTC).astimezone().date()
    return when.strftime("%H:%M:%S" if when.date() == today else "%Y-%m-%d %H:%M")
