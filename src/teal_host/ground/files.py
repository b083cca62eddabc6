"""The only place that changes files, and durably: beside, fsync, rename, fsync the directory.

Each act has a name and is announced to `witness` before it is done; tests/crash kills this side at every one. What is
acknowledged here survives a power cut: data first, then the name, then the directory.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Callable, Iterable, Iterator, List, Optional, Union

NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)

witness: Callable[[str], None] = lambda act: None  # noqa: E731 - replaced by tests, called before each act


def write(path: Path, content: Union[str, bytes], mode: int = 0o644, group: int = -1) -> None:
    """Replace the file as a whole: a reader sees the old or the new content, never a part. `group`: or the writer's."""
    witness(f"write {path.name}")
    beside = unfinished(path)
    data = content.encode() if isinstance(content, str) else content
    with _created(beside, mode) as file:
        if group != -1:
            os.fchown(file.fileno(), -1, group)
        file.write(data)
    witness(f"rename {path.name}")
    beside.rename(path)
    sync_dir(path.parent)


def append_line(path: Path, line: str, mode: int = 0o644) -> None:
    """Add one line to a history, whole or not at all. A line that a crash cut ends at the next one's line break."""
    witness(f"append {path.name}")
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, mode)
    try:
        size = os.fstat(handle).st_size
        cut = size and os.pread(handle, 1, size - 1) != b"\n"
        _append(handle, size, (b"\n" if cut else b"") + line.encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
    if not size:  # a new file: another process may have renamed the one before, just now
        sync_dir(path.parent)


def _append(handle: int, size: int, data: bytes) -> None:
    """On a disk that becomes full, write(2) takes a part and reports no error. What it took is cut off again."""
    if os.write(handle, data) != len(data):
        os.ftruncate(handle, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def turn_link(link: Path, target: str) -> None:
    """Point the link at `target` in one rename: it points somewhere at every moment. The switch is this act."""
    witness(f"prepare link {link.name}")
    beside = unfinished(link)
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    beside.symlink_to(target)
    witness(f"turn link {link.name}")
    beside.rename(link)
    sync_dir(link.parent)


def make_dir(path: Path, mode: int = 0o755) -> None:
    """The directory and those above it; what exists stays as it is."""
    if path.is_dir():
        return
    make_dir(path.parent)
    witness(f"make directory {path.name}")
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode)
        path.chmod(mode)
        sync_dir(path.parent)


def move(source: Path, target: Path) -> None:
    """Give a complete thing its final name."""
    witness(f"move {target.name}")
    source.rename(target)
    sync_dir(target.parent)


def remove(path: Path) -> None:
    """Remove a file or link; it may be gone already."""
    if not os.path.lexists(path):
        return
    witness(f"remove {path.name}")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    sync_dir(path.parent)


def text_of(path: Path) -> Optional[str]:
    try:
        return path.read_text(errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None


def status_of(path: Path, follow: bool = True) -> Optional[os.stat_result]:
    """None if it is absent. A question before this one would not help: another process may remove or rename it."""
    try:
        return os.stat(path, follow_symlinks=follow)  # noqa: PTH116 - the one of Path has no `follow_symlinks` in 3.9
    except (FileNotFoundError, NotADirectoryError):
        return None


def size_of(path: Path) -> int:
    """In bytes; 0 if the file is absent."""
    status = status_of(path)
    return status.st_size if status else 0


def link_target(path: Path) -> Optional[Path]:
    """Where the link points; None if it is absent, or no link."""
    try:
        return path.readlink()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):
            raise
        return None


def names_in(folder: Path) -> List[str]:
    """Sorted; none if the folder is absent. `glob` takes a folder that may not be read for an empty one, and before
    Python 3.13 it asks whether the folder is there, and then reads it.
    """
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except FileNotFoundError:
        return []


def beginning(path: Path, most: int, follow: bool) -> bytes:
    """So many bytes of what somebody else put there: a file and nothing that one would wait for. Raises OSError.

    Without `follow` no link on the way counts.
    """
    flags, folder = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY, os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        for part in () if follow else path.parts[1:-1]:
            above, folder = folder, os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(above)
        name = path if follow else path.name
        with os.fdopen(os.open(name, flags | (0 if follow else os.O_NOFOLLOW), dir_fd=folder), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is not a file")
            return file.read(most)
    finally:
        os.close(folder)


def unfinished(path: Path) -> Path:
    """What a writer that was killed may have left beside the name that it did not reach."""
    return path.with_name(f".{path.name}.tmp")


def remove_unfinished(folder: Path) -> None:
    """In a folder of Teal's own, whatever writers that were killed have left."""
    for path in list(folder.glob(".*.tmp")):
        remove(path)


def remove_if_empty(path: Path) -> bool:
    """Is it still there?"""
    try:
        path.rmdir()
    except OSError as error:
        if error.errno not in (*NOT_EMPTY, errno.ENOENT):
            raise
    return path.is_dir()


@contextlib.contextmanager
def scratch(like: Optional[Path], *inside: str) -> Iterator[Path]:
    """A folder in memory with links to all that is in another one, to try something there; without another one, with
    these folders in it. It does not last, so its changes are not announced."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="teal-", dir="/run" if like else None) as made:
        for entry in like.iterdir() if like else ():
            Path(made, entry.name).symlink_to(entry)
        for name in inside:
            Path(made, name).mkdir()
        yield Path(made)


def write_scratch(path: Path, content: str) -> None:
    """In the place of a link, if one is there."""
    path.unlink(missing_ok=True)
    path.write_text(content, errors="surrogateescape")


@contextlib.contextmanager
def new_file(path: Path, executable: bool, begun: bool = False) -> Iterator[BinaryIO]:
    """A file of a release: read-only and on the disk once all is written, and until then its owner's alone.

    It must not exist yet, unless it was `begun`: then it goes on at its end.
    """
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | (os.O_APPEND if begun else os.O_CREAT | os.O_EXCL), 0o600)
    with os.fdopen(handle, "wb") as file:
        yield file
        file.flush()  # before the mode says that all is there
        os.fchmod(handle, 0o555 if executable else 0o444)  # whatever the umask is
        os.fsync(handle)


def sync_file(path: Path) -> None:
    """A writer that was killed may have written all of the file and not synced it."""
    _sync(path, os.O_RDONLY | os.O_NOFOLLOW)


def unseal(top: Path) -> None:
    """Removing needs a writable parent, also for an ordinary user."""
    if top.is_symlink() or not top.is_dir():
        return
    for _, _, _, folder in os.fwalk(top):  # by descriptor: whose the tree is may put a link in the place of a directory
        with contextlib.suppress(PermissionError):
            os.fchmod(folder, stat.S_IRWXU)


def seal_dirs(top: Path) -> None:
    """Make every directory of a release read-only and durable, from the leaves upward."""
    witness(f"seal {top.name}")
    for folder, _, _ in os.walk(top, topdown=False):
        os.chmod(folder, 0o555)  # noqa: PTH101, S103 - read-only for everybody is the point
        sync_dir(Path(folder))


def open_log(path: Path) -> int:
    """A descriptor to which a program's output is appended; the caller closes it."""
    witness(f"open log {path.name}")
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def open_lock(path: Path) -> int:
    """A descriptor for flock(2). Who may open it could hold it for ever, so it is for its owner alone.

    Not announced: taking a lock changes nothing that is kept.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def note_holder(lock: int, note: str) -> None:
    """Say in the lock file who holds it, or that its holder has ended. No power cut leaves a killed command behind, so
    this is not synced; and a full disk stops no command here.
    """
    with contextlib.suppress(OSError):
        os.ftruncate(lock, os.pwrite(lock, note.encode(), 0))


def empty(log: Path) -> None:
    """Drop what is in a log that others append to, and let its owner alone read what comes: of a moment, so this is
    neither synced nor announced.
    """
    with contextlib.suppress(FileNotFoundError):
        handle = os.open(log, os.O_WRONLY | os.O_NOFOLLOW | os.O_TRUNC)
        try:
            os.fchmod(handle, 0o600)
        finally:
            os.close(handle)


def mark(path: Path) -> None:
    """An empty file that says something for a moment: neither synced nor announced, and its removal is not either."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))


def drop(mark: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        mark.unlink()


def own(path: Path, user: int, group: int, mode: int) -> None:
    """Give a file or directory to somebody, with this mode."""
    witness(f"own {path.name}")
    os.chown(path, user, group, follow_symlinks=False)
    path.chmod(mode)
    sync_dir(path.parent)


def set_oom_score(pid: int, score: int) -> None:
    """Whom the kernel ends first when memory runs out (proc(5), oom_score_adj). Not kept, so not announced."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(score))


def sync_dirs(folders: Iterable[Path]) -> None:
    """What a command that was killed has named in these, and could not sync any more, survives a power cut now."""
    for folder in folders:
        with contextlib.suppress(PermissionError, FileNotFoundError, NotADirectoryError):  # not all are ours
            try:
                sync_dir(folder)
            except OSError as error:
                if error.errno != errno.EINVAL:  # a file system that cannot sync a directory
                    raise


def sync_dir(path: Path) -> None:
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _created(path: Path, mode: int) -> Iterator[BinaryIO]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_TRUNC
    handle = os.open(path, flags, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, mode)  # whatever the umask is
        yield file
        file.flush()
        os.fsync(handle)
