"""The sources of an older Teal, for tests that let two versions meet."""

import subprocess
from pathlib import Path

import pytest

from harness.world import REPO

BEFORE = "55bfd35"  # the last commit whose files have format 1
BEFORE_SOCKETS = "87ebdba"  # the last commit without {socket}


def unpack_version_before(folder: Path, commit: str = BEFORE) -> Path:
    """Returns the directory of the packages. Skips the test where the clone has no such commit."""
    done = subprocess.run(["git", "-C", str(REPO), "archive", commit, "src"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this clone does not have {commit}: git fetch --unshallow")
    # Not tarfile: Debian 12's Python has no filter for what it unpacks, and later ones ask for one.
    subprocess.run(["tar", "-x", "-C", str(folder)], input=done.stdout, check=True)
    return folder / "src"
