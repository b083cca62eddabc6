"""The text of docs/guarantees.md. Pure: the same figures give the same text."""

from collections.abc import Iterator, Sequence

from broken.breaks import BREAKS
from guarantees.figures import Counted, Figures, Shown
from guarantees.matrix import GROUPS, MATRIX, SECURITY, Row
from guarantees.promises import LONG_RUNS, NOT_PROMISED, PROMISES

_WORDS = """\
Of the random stories: *live*, *unchanged*, *unhealthy*, *rolled back*, *not there*, *cancelled* and *needs human* are
how commands ended (exit codes 0, 0, 6, 7, 2, 1 and 10); a human is needed where neither release is well.
Of the half hour: sizes in kB, at first → at the end; *here* is what the client keeps."""
_SOME = """\
Where a round takes seconds, this run takes each second to fifth act; `TEAL_EVERY_ACT=1 script/test` takes all."""
_HEAD = """\
# What is promised, and how it is shown

Written by `script/guarantees`, which runs all tests and keeps what they count; do not edit.
The loads, and Teal beside other ways to turn traffic, are in [bench/README.md](../bench/README.md).
"""
_NUMBERS = """\
A number that is missing was merged with another row, or asks for what Teal does not have; none failed.
`grep -rn '"A1"' tests` finds the tests of a row."""
_ATTACKS = """\
Rows S1 to S12 are attacks that once succeeded; the others were looked for beside them. Each must be held in every
release. A *try* is a test, or one case of it; each Debian counts.
[What is believed](explanation/security.md) has the reasons."""
_NAMES = 2  # the page names so many tests of a row, and counts the others


def page(figures: Figures) -> str:
    sections = (_long_runs, _counted, _broken, _security, _matrix)
    parts = [_HEAD, _promised(), _not_promised(), *(part(figures) for part in sections)]
    return "\n".join(parts).rstrip() + "\n"


def _promised() -> str:
    lines = [
        f"{number}. {what}. {how}.{rows and f' Rows {rows}.'}" for number, (what, how, rows) in enumerate(PROMISES, 1)
    ]
    return "\n".join(["## Promised", "", *lines, ""])


def _not_promised() -> str:
    return "\n".join(["## Not promised", "", *(f"- {what}" for what in NOT_PROMISED), ""])


def _long_runs(figures: Figures) -> str:
    lines = [
        "## Driven further than at every commit",
        "",
        "| what | counted | command | at |",
        "| --- | --- | --- | --- |",
    ]
    for name, run in LONG_RUNS.items():
        ran = figures.runs.get(name)
        counted, at = (_told(ran.counted), f"{ran.at}, {ran.system}") if ran else ("not yet run", "")
        lines.append(f"| {run.what} | {counted} | `{run.command}` | {at} |")
    return "\n".join([*lines, "", _WORDS, ""])


def _counted(figures: Figures) -> str:
    at = f"{figures.at}, {figures.system}." if figures.at else "Not yet run."
    lines = ["## Counted at the last run of the tests", "", f"{at} {_SOME}", ""]
    lines += _table("test", "counted")
    lines += [f"| {_link(shown.test)} | {_told(shown.counted)} |" for shown in figures.shown if shown.counted]
    return "\n".join([*lines, ""])


def _broken(figures: Figures) -> str:
    """The breaks of tests/broken, each with the test that must fail."""
    seen = {broken.test: broken.outcome for broken in figures.shown}
    lines = [
        "## Teal broken on purpose",
        "",
        "Each break turns a test red, in words that name it (`tests/broken`).",
        "",
    ]
    lines += _table("what is broken", "the test that goes red", "seen")
    for broken in BREAKS:
        state = seen.get(f"tests/broken/test_broken.py::test_break_turns_its_test_red[{broken.name}]", "not yet run")
        lines.append(f"| {broken.description} | {_link(broken.test)} | {state} |")
    return "\n".join([*lines, ""])


def _security(figures: Figures) -> str:
    rows = [row for row in MATRIX if row.name[0] == SECURITY]
    tries = sum(SECURITY in {name[0] for name in shown.rows} for shown in figures.shown)
    held = sum(state(row, figures) == "passed" for row in rows)
    lines = ["## Attacks", "", f"{held} of {len(rows)} rows held, by {tries:,} tries.", "", _ATTACKS, ""]
    lines += _table("row", "the attack", "what holds", "tries", "held by")
    lines += [
        f"| {row.name} | {row.fault} | {row.holds} | {len(tests_of(row, figures))} | {_outcome(row, figures)} |"
        for row in rows
    ]
    return "\n".join([*lines, ""])


def _matrix(figures: Figures) -> str:
    lines = ["## The fault matrix", "", _sum(figures), "", _NUMBERS, ""]
    for letter, title in GROUPS.items():
        lines += [
            f"### {letter}. {title}",
            "",
            "| row | must | the fault | what holds | shown by |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [_line(row, figures) for row in MATRIX if row.name[0] == letter]
        lines.append("")
    return "\n".join(lines)


def _sum(figures: Figures) -> str:
    return "; ".join(_sums(figures))


def _sums(figures: Figures) -> Iterator[str]:
    for priority, meaning in (("P0", "must hold in every release"), ("P1", "wanted before 1.0")):
        rows = [row for row in MATRIX if row.priority == priority and row.name[0] in GROUPS]
        well = sum(state(row, figures) == "passed" for row in rows)
        declined = [row.name for row in rows if row.declined]
        but = f", declined: {', '.join(declined)}" if declined else ""
        yield f"{priority} ({meaning}): {well} of {len(rows)} rows shown and passed{but}"


def _line(row: Row, figures: Figures) -> str:
    return f"| {row.name} | {row.priority} | {row.fault} | {row.holds} | {_outcome(row, figures)} |"


def _outcome(row: Row, figures: Figures) -> str:
    tests = sorted({shown.test.split("[")[0] for shown in tests_of(row, figures)})
    named = ", ".join(map(_link, tests[:_NAMES])) or "no test"
    more = f" and {len(tests) - _NAMES} more" if len(tests) > _NAMES else ""
    return row.declined or f"{state(row, figures)}: {named}{more}"


def state(row: Row, figures: Figures) -> str:
    """The state of all tests together.

    A test that was skipped at its last run shows nothing, even if other tests passed.
    """
    if row.declined:
        return "declined"
    outcomes = {shown.outcome for shown in tests_of(row, figures)}
    if "failed" in outcomes:
        return "failed"
    return (
        "passed" if outcomes == {"passed"} else "passed in part, else skipped" if "passed" in outcomes else "not shown"
    )


def tests_of(row: Row, figures: Figures) -> Sequence[Shown]:
    return [shown for shown in figures.shown if row.name in shown.rows]


def _link(test: str) -> str:
    path, _, name = test.partition("::")
    words = name.split("::")[-1].removeprefix("test_").translate(str.maketrans("_[]|", " (),"))
    return f"[{words}](../{path})"


def _table(*columns: str) -> tuple[str, str]:
    return f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"


def _told(counted: Counted) -> str:
    return ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counted.items())
