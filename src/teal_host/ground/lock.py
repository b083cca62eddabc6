"""One command at a time changes an app. flock(2), so a lock dies with its holder and is never stale."""

import contextlib
import fcntl
import json
import os
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable, ContextManager, Iterator, Optional, Union

from teal_host.ground import files, processes
from teal_host.ground.errors import DAMAGED, Locked
from teal_host.ground.journal import now
from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.wire.manifest import Origin

_LOOK_EVERY_S = 0.05
_TRIES = 5  # to open a lock: a destroy may remove its directory as soon as it is made
SHARED_WAIT_S = 60.0  # for another app's change of what apps share
_ENDED = '{"ended": true}'  # in the file, while no command is at work and none was killed


Wait = Union[float, Callable[[], float]]
"""For how many seconds a command waits for the lock; or what is called, while the lock is held, to say so."""


@dataclass(frozen=True)
class Holder:
    """`words`: who it is, since when, doing what, for a person."""

    pid: int
    who: str
    what: str
    words: str


@contextlib.contextmanager
def of_app(paths: AppPaths, what: str, origin: Origin, wait: Wait) -> Iterator[None]:
    """Hold the lock of an app. If the command before was killed, it may have named what it could not sync any more. The
    next command takes that for done, so it is synced first.
    """
    with held(paths.lock, what, origin, wait) as was_killed:
        if was_killed:
            files.sync_dirs(paths.all_folders())
        yield


@contextlib.contextmanager
def held(path: Path, what: str, origin: Origin, wait: Wait) -> Iterator[bool]:
    """Hold the lock; wait at most so long for it. Raises Locked with who has it, since when, doing what.

    True: the holder before was killed, as far as is known.
    """
    files.make_dir(path.parent)
    lock = _take(path, wait)
    was_killed = os.pread(lock, len(_ENDED) + 1, 0) != _ENDED.encode()
    try:
        note = {"who": origin.who, "machine": origin.machine, "what": what, "since": now(), "pid": os.getpid()}
        files.note_holder(lock, json.dumps(note, ensure_ascii=False))
        try:
            yield was_killed
        except Exception as problem:
            if not isinstance(problem, OSError):  # a sync may have failed: the next command syncs again
                files.note_holder(lock, _ENDED)
            raise
        files.note_holder(lock, _ENDED)
    finally:
        os.close(lock)


def shared(host: HostPaths, app: str, what: str, wait: Wait = SHARED_WAIT_S) -> ContextManager[bool]:
    """Hold what all apps of this host share: the ports and nginx."""
    return held(host.lock, what, Origin(app, "this host"), wait)


def holder(path: Path) -> Optional[Holder]:
    """Who holds the lock, by the kernel's word; None when nobody does. Looks only: it is not taken for a moment."""
    with contextlib.suppress(*DAMAGED):
        note = json.loads(path.read_text())
        if is_holder(path, int(note["pid"])):
            return Holder(int(note["pid"]), str(note["who"]), str(note["what"]), _words(path))
    return None


@contextlib.contextmanager
def alone(path: Path) -> Iterator[bool]:
    """For a file's own upkeep: is nobody else at it, and is it still the file of this name?"""
    lock = _try(path)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def keep(path: Path) -> bool:
    """Hold the lock until this process ends, if it is free."""
    return _try(path) is not None


def holder_of(path: Path) -> int:
    """The process that holds the lock, by the kernel's word alone; 0 when none does."""
    with contextlib.suppress(FileNotFoundError):
        return processes.lock_holder(path.stat())
    return 0


def at_work(path: Path) -> Optional[str]:
    """The words for who holds the lock now."""
    current = holder(path)
    return current.words if current else None


def is_holder(path: Path, pid: int) -> bool:
    return processes.has_lock(pid, path.stat().st_ino)


def _take(path: Path, wait: Wait) -> int:
    began = time.monotonic()
    while True:
        lock = _try(path)
        if lock is not None:
            return lock
        if time.monotonic() >= began + (wait() if callable(wait) else wait):
            raise Locked(_words(path), hint="wait for it, or use --wait SECONDS")
        time.sleep(_LOOK_EVERY_S)


def _try(path: Path) -> Optional[int]:
    """The locked descriptor, or None. The file may have been removed by a destroy while we waited for it."""
    lock = _opened(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == path.stat().st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None


def _opened(path: Path) -> int:
    for _ in range(_TRIES):
        with contextlib.suppress(FileNotFoundError):
            files.make_dir(path.parent)
            return files.open_lock(path)
    return files.open_lock(path)


def _clock(since: str) -> str:
    """As this machine's clocks show it, with the zone; and the day when it is not today."""
    when, today = (moment.astimezone() for moment in (datetime.fromisoformat(since), datetime.now(timezone.utc)))
    return when.strftime("%H:%M:%S %Z" if when.date() == today.date() else "%Y-%m-%d %H:%M:%S %Z")


def _words(path: Path) -> str:
    with contextlib.suppress(*DAMAGED):
        note = json.loads(path.read_text())
        return (
            f"{note['who']}@{note['machine']} is at work here since {_clock(str(note['since']))}: "
            f"{note['what']} (process {note['pid']})"
        )
    return "another command is at work here"
