"""Each break of tests/broken still fits the source: a change shows it in seconds, not at the end of all tests."""

from pathlib import Path

import pytest

from broken.breaks import BREAKS, Break

_SRC = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize("deliberate", BREAKS, ids=lambda deliberate: deliberate.name)
def test_break_fits_the_source(deliberate: Break) -> None:
    misfits = [edit for edit in deliberate.edits if (_SRC / edit.file).read_text().count(edit.old) != 1]
    assert not misfits
    test = deliberate.test.partition("::")
    assert f"def {test[2].partition('[')[0]}(" in Path(_SRC.parent, test[0]).read_text()
