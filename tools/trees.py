"""The Python files of a tree or of a commit: the text of each, by its path in the repository."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]


def read_tree(root: Path, folder: str) -> dict[str, str]:
    if not (root / folder).is_dir():
        raise SystemExit(f"{root} has no folder {folder}")
    paths = sorted((root / folder).rglob("*.py"))
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def read_commit(commit: str, folder: str) -> dict[str, str]:
    argv = ["git", "-C", str(REPO), "archive", "--format=tar", commit, folder]
    archive = subprocess.run(argv, capture_output=True, check=False)
    if archive.returncode:
        raise SystemExit(f"git cannot read {folder} of {commit}: {archive.stderr.decode().strip()}")
    texts: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        for member in sorted(tar, key=lambda member: member.name):
            file = tar.extractfile(member)
            if file and member.name.endswith(".py"):
                texts[member.name] = file.read().decode()
    return texts
