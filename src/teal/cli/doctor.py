"""teal doctor"""

import os
import sys
from collections.abc import Iterator

import click

from teal.cli.options import GlobalOptions, global_options
from teal.stories import queries
from teal.ui.base import shown
from teal.ui.jsonlines import as_contract, emit
from teal_host.wire.reports import DoctorReport, Finding
from teal_host.wire.typed import encode

NEEDS_HUMAN = 10
_SIGNS = {"ok": ("✓", 32), "warning": ("!", 33), "fault": ("✗", 31)}
_WORST = ("fault", "warning", "ok")


@click.command("doctor")
@global_options(json=True)
def command(options: GlobalOptions) -> int:
    """Check the server and this app on it: what is wrong, and what to type. Changes nothing.

    Exit codes: 0 no fault (there may be warnings) · 10 a fault · 4 cannot reach the server
    """
    report = queries.doctor(options.load())
    state = worst(report)
    if options.manner.json:
        emit(
            {
                "schema": 1,
                "app": report.app,
                "state": state,
                "findings": [as_contract(encode(finding)) for finding in report.findings],
            }
        )
    else:
        for line in lines(report, options.manner.quiet, _painted(options)):
            click.echo(options.manner.typed(line))
    return NEEDS_HUMAN if state == "fault" else 0


def worst(report: DoctorReport) -> str:
    states = {finding.state for finding in report.findings}
    return next((state for state in _WORST if state in states), "ok")


def lines(report: DoctorReport, only_wrong: bool, paint: bool) -> Iterator[str]:
    """A line for each finding; below a fault or warning its evidence, and what to type. The summary comes last."""
    width = max((len(finding.what) for finding in report.findings), default=0)
    for finding in report.findings:
        if not (only_wrong and finding.state == "ok"):
            yield from _finding(finding, width, paint)
    if not (only_wrong and worst(report) == "ok"):
        yield _summary(report)


def _finding(finding: Finding, width: int, paint: bool) -> Iterator[str]:
    sign, color = _SIGNS[finding.state]
    mark = f"\033[{color}m{sign}\033[0m" if paint else sign
    yield f"{mark} {finding.what:<{width}}  {shown(finding.message)}"
    margin = " " * (width + 4)
    for line in finding.evidence:
        yield f"{margin}│ {shown(line)}"
    if finding.hint:
        yield f"{margin}→ {shown(finding.hint)}"


def _summary(report: DoctorReport) -> str:
    faults, warnings = (sum(finding.state == state for finding in report.findings) for state in ("fault", "warning"))
    counted = [_count(number, word) for number, word in ((faults, "fault"), (warnings, "warning")) if number]
    return f"{report.app}: {', '.join(counted) or 'nothing is wrong'}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _painted(options: GlobalOptions) -> bool:
    return options.manner.color and (sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR")))
