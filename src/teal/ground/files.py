"""The only place on this side that writes files: beside, fsync, rename."""

import os
import shutil
from pathlib import Path

from teal.ground.errors import Usage


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


def copy_private(source: Path, target: Path) -> None:
    """Beside, then rename: a copy that was cut never has the name of a whole one. Raises OSError."""
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as copy, source.open("rb") as file:
            shutil.copyfileobj(file, copy, 1024 * 1024)
        beside.rename(target)
    finally:
        beside.unlink(missing_ok=True)


def touch(path: Path) -> None:
    """It was used now. Raises OSError."""
    os.utime(path)


def remove(path: Path) -> None:
    """Raises OSError, unless it is gone already."""
    path.unlink(missing_ok=True)
