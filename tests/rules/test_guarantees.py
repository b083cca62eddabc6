"""Every row of the fault matrix that must hold has a test, and docs/guarantees.md says what was seen and no more."""

import re
import sys
from pathlib import Path

import pytest

import guarantees.__main__
from guarantees.figures import load
from guarantees.matrix import MATRIX
from guarantees.page import page
from guarantees.promises import LONG_RUNS, PROMISES

REPO = Path(__file__).parents[2]
MARK = re.compile(r"mark\.row\(([^)]*)\)")
ROWS = {row.name for row in MATRIX}


def _marked() -> set[str]:
    texts = [path.read_text() for path in (REPO / "tests").rglob("test_*.py") if path != Path(__file__)]
    return {name for text in texts for marks in MARK.findall(text) for name in re.findall(r'"(\w+)"', marks)}


def test_matrix_row_that_must_hold_has_a_test() -> None:
    assert sorted({row.name for row in MATRIX if row.priority == "P0"} - _marked()) == []


def test_row_mark_names_a_row_of_the_matrix() -> None:
    assert sorted(_marked() - ROWS) == []


def test_matrix_row_is_either_declined_or_says_what_holds() -> None:
    assert [row.name for row in MATRIX if bool(row.declined) == bool(row.holds)] == []


def test_promises_name_rows_that_exist() -> None:
    assert {name for _, _, rows in PROMISES for name in rows.split()} <= ROWS


def test_guarantees_page_matches_the_figures() -> None:
    assert (REPO / "docs/guarantees.md").read_text() == page(load()), "run script/guarantees --write"


def test_long_runs_have_tests_or_a_bench() -> None:
    for run in LONG_RUNS.values():
        assert (REPO / (run.tests or run.bench).split()[0]).exists(), run.command


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("<testsuites/>", "is not of all tests"), ("no XML", "is no JUnit report"), (None, "No such file")],
)
def test_report_is_refused_and_nothing_written_when_it_is_not_of_all_tests(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    complaint: str,
) -> None:
    report = tmp_path / "report"
    if text is not None:
        report.write_text(text)
    monkeypatch.setattr(sys, "argv", ["guarantees", "--report", str(report)])
    monkeypatch.setattr(guarantees.__main__, "_written", lambda figures: pytest.fail("it was written"))
    with pytest.raises(SystemExit) as ended:
        guarantees.__main__.main()
    assert (ended.value.code, complaint in capsys.readouterr().err) == (2, True)
