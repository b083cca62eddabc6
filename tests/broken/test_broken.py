"""Each break of the table is put into a copy of the project; there the test that it names goes red, and says why."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from broken.breaks import BREAKS, Break
from world import REPO

NEEDED = ("src", "tests", "bench", "examples", "schemas", "pyproject.toml")
LONGEST_S = 60  # a test that hangs there says so, and ends what it has started


@dataclass(frozen=True)
class Ran:
    code: int
    said: str


def copied(place: Path) -> Path:
    """The project once more, of which nothing is shared with this one."""
    place.mkdir()
    for name in NEEDED:
        if (REPO / name).is_dir():
            shutil.copytree(REPO / name, place / name, symlinks=True)
        else:
            shutil.copy(REPO / name, place)
    return place


def run(place: Path, *tests: str) -> Ran:
    """pytest in that copy. The client comes from its `src`, and sends the server side that stands beside it."""
    argv = [sys.executable, "-m", "pytest", f"--timeout={LONGEST_S}", f"--basetemp={place / 'tmp'}", "--color=no"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_ADD", "PYTEST_CURRENT"))}
    env = {**kept, "PYTHONPATH": str(place / "src")}
    done = subprocess.run([*argv, *tests], cwd=place, env=env, capture_output=True, text=True, timeout=170, check=False)
    return Ran(done.returncode, done.stdout + done.stderr)


@pytest.mark.parametrize("one", BREAKS, ids=lambda one: one.name)
def test_a_break_is_seen(one: Break, tmp_path: Path) -> None:
    place = copied(tmp_path / "copy")
    for edit in one.edits:
        edit.apply(place / "src")
    ran = run(place, one.test)
    assert ran.code == 1, ran.said
    assert re.search(r"^1 failed in ", ran.said, re.MULTILINE), ran.said
    assert re.search(one.shows, ran.said), ran.said
