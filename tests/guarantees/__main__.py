"""Runs all tests, keeps their counts, and writes docs/guarantees.md."""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

from guarantees import figures
from guarantees.figures import REPO, Counted, Figures
from guarantees.matrix import MATRIX
from guarantees.page import page, state
from guarantees.promises import LONG_RUNS, PYTEST, LongRun

PAGE = REPO / "docs/guarantees.md"


class NotWhole(Exception):
    """The figures do not match the run: they would say less, or more, than the tests showed."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/guarantees", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--run", choices=LONG_RUNS, action="append", help="a long run, instead of the tests")
    what.add_argument("--write", action="store_true", help="only the page, from the figures that are kept")
    what.add_argument("--report", type=Path, metavar="FILE", help="of a run of all tests: what pytest --junitxml wrote")
    try:
        return _written(_brought_up(figures.load(), parser.parse_args()))
    except (NotWhole, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}; nothing was written\n")
    except subprocess.CalledProcessError as failed:
        parser.exit(1, f"{parser.prog}: failed: {shlex.join(failed.cmd)}; nothing was written\n")


def _written(figures_: Figures) -> int:
    figures.save(figures_)
    PAGE.write_text(page(figures_))
    bad = [f"{row.name} {how}" for row in MATRIX if row.priority == "P0" and (how := state(row, figures_)) != "passed"]
    bad += [f"{shown.test} failed" for shown in figures_.shown if shown.outcome == "failed"]
    print(f"written: {PAGE.relative_to(REPO)}", *(f"not shown: {line}" for line in bad), sep="\n", file=sys.stderr)
    return 1 if bad else 0


def _brought_up(known: Figures, asked: argparse.Namespace) -> Figures:
    if asked.write:
        return known
    if asked.report:
        return _of_all_tests(known, asked.report)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report")
        if not asked.run:
            _call([PYTEST, "tests", f"--junitxml={report}"], {})
            return _of_all_tests(known, report)
        counts = {name: _ran(LONG_RUNS[name], report) for name in asked.run}
    return _with_runs(figures.load(), counts)


def _with_runs(known: Figures, counts: dict[str, Counted]) -> Figures:
    """`known` is loaded after the runs: another long run may have ended meanwhile."""
    for name, counted in counts.items():
        known = known.with_run(name, counted)
    return known


def _of_all_tests(known: Figures, report: Path) -> Figures:
    """Takes over a report of all tests.

    Raises NotWhole for a report of only some, whose figures would replace those of all.
    """
    try:
        known_now = known.with_tests(report)
    except xml.ParseError as error:
        raise NotWhole(f"{report} is no JUnit report: {error}") from None
    shown = {row for test in known_now.shown for row in test.rows}
    if missing := [row.name for row in MATRIX if row.priority == "P0" and row.name not in shown]:
        raise NotWhole(f"{report} is not of all tests: none of {', '.join(missing)}")
    return known_now


def _ran(run: LongRun, report: Path) -> Counted:
    """Runs a long run and returns its counts. Raises CalledProcessError: a failed run has no figures."""
    if run.bench:
        _call([*shlex.split(run.bench), "--json", str(report)], {}, check=True)
        counted = json.loads(report.read_text())["counted"]
        return {name: str(value) for name, value in counted.items()}
    name, _, value = run.env.partition("=")
    _call([PYTEST, *run.tests.split(), f"--junitxml={report}"], {name: value}, check=True)
    return counts(run, report)


def counts(run: LongRun, report: Path) -> Counted:
    """The counts of all tests of the run, each with its case.

    Raises NotWhole if a test was skipped, or if two tests have one key.
    """
    counts_: Counted = {}
    for shown in figures.read(report):
        if shown.outcome == "skipped":
            raise NotWhole(f"{shown.test} was skipped; script/test says why")
        case = shown.test.partition("[")[2].rstrip("]").replace("-", " ")
        counted = {run.sum_of: _sum(shown.counted)} if run.sum_of else shown.counted
        named = {f"{key} ({case})" if case else key: value for key, value in counted.items()}
        if twice := named.keys() & counts_.keys():
            raise NotWhole(f"two tests count {', '.join(twice)}")
        counts_ |= named
    if not counts_:
        raise NotWhole("nothing was counted")
    return counts_


def _sum(counted: Counted) -> str:
    return f"{sum(int(value.replace(',', '')) for value in counted.values()):,}"


def _call(argv: list[str], env: dict[str, str], check: bool = False) -> None:
    subprocess.run(argv, cwd=REPO, env={**os.environ, **env}, check=check)


if __name__ == "__main__":
    sys.exit(main())
