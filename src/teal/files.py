"""The only place on this side that writes files: beside, fsync, rename."""

import os
from pathlib import Path

from teal.errors import Usage


def write(path: Path, text: str) -> None:
    """Replace the file as a whole. Raises Usage when the directory does not allow it."""
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    except OSError as error:
        raise Usage(f"cannot write {path}: {error.strerror}") from None


def private_dir(path: Path) -> None:
    """For nobody else. Raises OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
