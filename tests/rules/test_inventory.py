"""No test of before is lost or weakened: tests/NAMES.tsv has each with its assertions then and its name now."""

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
NAMES = REPO / "tests/NAMES.tsv"
OUTSIDE = "outside of test functions"
TESTS = {
    "world.py": "def test_like() -> None:\n    assert 1\n",
    "host/test_lock.py": (
        "def check() -> None:\n    assert 1\n\n"
        "def test_lock_waits() -> None:\n    assert 1\n    with pytest.raises(OSError):\n        check()\n\n"
        "class TestOwner:\n    def test_lock_is_held(self) -> None:\n        assert 1\n"
    ),
}
LOCK = "tests/host/test_lock.py::test_lock_waits"
OWNER = "tests/host/test_lock.py::TestOwner::test_lock_is_held"


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, REPO / "tools/test-names", *arguments]
    return subprocess.run(argv, cwd=REPO, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in TESTS.items():
        path = tmp_path / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.skipif(not NAMES.exists(), reason="there is no tests/NAMES.tsv")
def test_inventory_has_every_test_of_before_with_its_assertions() -> None:
    checked = _run("--check", NAMES)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_inventory_prints_each_test_with_its_assertions(tree: Path) -> None:
    printed = _run("--tree", tree).stdout.splitlines()
    assert printed == [f"{OUTSIDE}\t2", f"{OWNER}\t1", f"{LOCK}\t2"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (f"{LOCK}\t2\t{LOCK}", None),
        (f"tests/old.py::test_it\t1\t{OWNER}\t", None),
        (f"{LOCK}\t3\t{LOCK}", f"{LOCK} has 2 assertions, 3 before"),
        (f"{OUTSIDE}\t3\t{OUTSIDE}", f"{OUTSIDE} has 2 assertions, 3 before"),
        (f"{LOCK}\t1\ttests/host/test_lock.py::test_lock", "tests/host/test_lock.py::test_lock is gone"),
        (f"{LOCK}\t1\t{LOCK}\n{OWNER}\t1\t{LOCK}", f"{LOCK} stands twice"),
        (f"{LOCK}\tmany\t{LOCK}", "line 2 is malformed"),
        (f"{LOCK}\t1", "line 2 is malformed"),
        ("", "the list names no test"),
    ],
)
def test_inventory_check_names_the_fault(tree: Path, line: str, fault: str | None) -> None:
    names = tree / "NAMES.tsv"
    names.write_text(f"# before\n{line}\n" if line else "# before\n")
    checked = _run("--tree", tree, "--check", names)
    assert checked.returncode == (1 if fault else 0)
    assert (fault or "") in checked.stderr


def test_inventory_follows_renames_when_it_is_written(tree: Path) -> None:
    """In a repository of its own: a rename, a rename of a rename into another file, a folder that moved."""
    for name in ("trees.py", "test-names"):
        (tree / "tools").mkdir(exist_ok=True)
        (tree / "tools" / name).write_bytes((REPO / "tools" / name).read_bytes())
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(tree)]
    for argv in (["init", "-q"], ["add", "tests"], ["commit", "-qm", "before"]):
        subprocess.run([*git, *argv], check=True, timeout=60)
    text = (tree / "tests/host/test_lock.py").read_text().replace("test_lock_is_held", "test_owner_keeps_the_lock")
    first, _, last = text.partition("class ")
    (tree / "tests/host/test_lock.py").unlink()
    (tree / "tests/ground").mkdir()
    (tree / "tests/ground/test_lock.py").write_text(f"class {last}")
    (tree / "tests/ground/test_wait.py").write_text(first.replace("test_lock_waits", "test_wait_ends"))
    renames = tree / "renames"
    old = "tests/host/test_lock.py"
    renames.write_text(
        f"{old}\ttest_lock_waits\ttest_wait\n{old}\ttest_wait\ttests/ground/test_wait.py::test_wait_ends\n"
        f"{old}\ttest_lock_is_held\ttest_owner_keeps_the_lock\n"
    )
    argv = [sys.executable, str(tree / "tools/test-names"), "--write", str(tree / "NAMES.tsv"), "--before", "HEAD"]
    argv += ["--renames", str(renames), "--moved", "tests/host=tests/ground"]
    written = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (written.returncode, written.stderr) == (0, "")
    assert (tree / "NAMES.tsv").read_text().splitlines()[1:] == [
        f"{OUTSIDE}\t2\t{OUTSIDE}",
        f"{OWNER}\t1\ttests/ground/test_lock.py::TestOwner::test_owner_keeps_the_lock",
        f"{LOCK}\t2\ttests/ground/test_wait.py::test_wait_ends",
    ]
