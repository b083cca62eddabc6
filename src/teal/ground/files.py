"""The only module of the client that writes files: into a temporary file, fsync, rename."""

import contextlib
import os
import shutil
import stat
from pathlib import Path

from teal.ground.errors import Usage


def write(path: Path, text: str) -> None:
    """Replace the whole file by rename. Raises Usage when that fails.

    A repository can hold a link of the temporary name, which would lead to a file of the user's.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()  # on a full disk it would hold what is left
        raise Usage(f"cannot write {path}: {error.strerror}") from None


def read_beginning(path: Path, most: int) -> bytes:
    """The first bytes of a regular file; nothing of a pipe, which would block, or of a device, which may never end.

    Raises OSError.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
        return file.read(most) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""


def own_folder(variable: str, default: str) -> Path:
    """Teal's own folder where this variable of the XDG specification says, else below the home directory."""
    base = os.environ.get(variable, "")
    return (Path(base) if base.startswith("/") else Path.home() / default) / "teal"


def private_dir(path: Path) -> None:
    """Make a directory that only this user can read. Raises OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def copy_private(source: Path, target: Path) -> None:
    """Copy into a temporary file, then rename: an interrupted copy never gets the final name. Raises OSError."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as copy, source.open("rb") as file:
            shutil.copyfileobj(file, copy, 1024 * 1024)
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)


def touch(path: Path) -> None:
    """Mark the file as used now, by its modification time. Raises OSError."""
    os.utime(path)


def remove(path: Path) -> None:
    """Raises OSError, but not for a file that is gone already."""
    path.unlink(missing_ok=True)
