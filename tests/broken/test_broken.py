"""Each test puts one break of the table into a copy of the project. There, the named test fails and says why."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from broken.breaks import BREAKS, Break, Edit
from harness.world import REPO

NEEDED = ("src", "tests", "bench", "examples", "schemas", "pyproject.toml")
# no test of the table needs the other plugins, which take a second to import
PLUGINS = ("-p", "xdist", "-p", "pytest_timeout")
ALL = tuple(sorted({broken.test for broken in BREAKS}))
CONTROL = (
    ALL
    if os.environ.get("TEAL_BREAKS")
    else ("tests/local/test_story.py::test_deploys_go_live_on_blue_then_green_and_a_rollback_returns_to_blue",)
)
LONGEST_S = 150  # a test that hangs reports that by itself, and ends what it has started


@dataclass(frozen=True)
class Ran:
    code: int
    output: str


def copied(place: Path) -> Path:
    """Copies the project. The copy shares nothing with the original."""
    place.mkdir()
    for name in NEEDED:
        if (REPO / name).is_dir():
            shutil.copytree(REPO / name, place / name, symlinks=True)
        else:
            shutil.copy(REPO / name, place)
    return place


def run(place: Path, *tests: str) -> Ran:
    """Runs pytest in the copy. The client comes from the copy's `src`, and sends the server side beside it."""
    argv = [sys.executable, "-m", "pytest", *PLUGINS, f"--timeout={LONGEST_S}", f"--basetemp={place / 'tmp'}"]
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_ADD", "PYTEST_CURRENT"))
    }
    env = {**inherited, "PYTHONPATH": str(place / "src"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "NO_COLOR": "1"}
    done = subprocess.run([*argv, *tests], cwd=place, env=env, capture_output=True, text=True, timeout=270, check=False)
    return Ran(done.returncode, done.stdout + done.stderr)


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.name)
def test_break_turns_its_test_red(broken: Break, tmp_path: Path) -> None:
    place = copied(tmp_path / "copy")
    for edit in broken.edits:
        edit.apply(place / "src")
    ran = run(place, broken.test)
    if re.search(r"^1 skipped in ", ran.output, re.MULTILINE):
        pytest.skip(f"{broken.test} is skipped here, too")
    assert ran.code == 1, ran.output
    assert re.search(r"^1 failed in ", ran.output, re.MULTILINE), ran.output
    assert re.search(broken.shows, ran.output), ran.output


def test_copy_without_a_break_passes_the_tests(tmp_path: Path) -> None:
    """Runs one test or all of them. The normal run of all tests shows that they pass in the project itself."""
    ran = run(copied(tmp_path / "copy"), *CONTROL)
    assert ran.code == 0, ran.output
    assert "passed" in ran.output


@pytest.mark.parametrize("files", [("one", "one"), ("two",)], ids=["twice", "nowhere"])
def test_break_that_no_longer_fits_the_source_says_so(tmp_path: Path, files: tuple[str, ...]) -> None:
    (tmp_path / "module.py").write_text("\n".join(files))
    with pytest.raises(AssertionError, match=r"module\.py has (0|2) places with 'one', not one"):
        Edit("module.py", "one", "two").apply(tmp_path)
