"""teal doctor"""

import sys
from collections.abc import Iterator

import click

from teal.cli.options import GlobalOptions, global_options
from teal.stories import queries
from teal.ui.base import Manner, shown
from teal.ui.columns import columns, wrapped
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
        findings = as_contract(encode(report.findings))
        emit({"schema": 1, "app": report.app, "state": state, "findings": findings})
    else:
        for line in lines(report, options.manner, options.paints_results, columns(sys.stdout)):
            click.echo(line)
    return NEEDS_HUMAN if state == "fault" else 0


def worst(report: DoctorReport) -> str:
    states = {finding.state for finding in report.findings}
    return next((state for state in _WORST if state in states), "ok")


def lines(report: DoctorReport, manner: Manner, paint: bool, width: int | None = None) -> Iterator[str]:
    """A line for each finding; below a fault or warning its evidence, and what to type. The summary comes last."""
    what_width = max((len(finding.what) for finding in report.findings), default=0)
    for finding in report.findings:
        if not (manner.quiet and finding.state == "ok"):
            sign, color = _SIGNS[finding.state]
            first, *others = _finding(finding, what_width, manner, width)
            yield first.replace(sign, f"\033[{color}m{sign}\033[0m", 1) if paint else first
            yield from others
    if not (manner.quiet and worst(report) == "ok"):
        yield from wrapped(_summary(report), width)


def _finding(finding: Finding, what_width: int, manner: Manner, width: int | None) -> Iterator[str]:
    sign, _ = _SIGNS[finding.state]
    margin = " " * (what_width + 4)
    yield from wrapped(manner.typed(shown(finding.message)), width, margin, f"{sign} {finding.what:<{what_width}}  ")
    for line in finding.evidence:
        yield from wrapped(shown(line), width, f"{margin}│ ", f"{margin}│ ")
    if finding.hint:
        yield f"{margin}→ {manner.typed(shown(finding.hint))}"  # one line: half a command may be another command


def _summary(report: DoctorReport) -> str:
    faults, warnings = (sum(finding.state == state for finding in report.findings) for state in ("fault", "warning"))
    counted = [_count(number, word) for number, word in ((faults, "fault"), (warnings, "warning")) if number]
    return f"{report.app}: {', '.join(counted) or 'nothing is wrong'}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
