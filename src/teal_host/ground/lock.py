"""One command at a time changes an app. flock(2), so a lock dies with its holder and is never stale."""

import contextlib
import fcntl
import json
import os
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import ContextManager, Iterator, Optional

from teal_host.ground import files, processes
from teal_host.ground.errors import Locked
from teal_host.ground.journal import now
from teal_host.ground.paths import HostPaths
from teal_host.wire.manifest import Origin

_LOOK_EVERY_S = 0.1
_SHARED_WAIT_S = 60.0  # for another app's change of what apps share


@contextlib.contextmanager
def held(path: Path, what: str, origin: Origin, wait_s: float) -> Iterator[None]:
    """Hold the lock; wait at most so many seconds for it. Raises Locked with who has it, since when, doing what."""
    files.make_dir(path.parent)
    lock = _take(path, wait_s)
    try:
        note = {
            "who": origin.who,
            "machine": origin.machine,
            "what": what,
            "since": now(),
            "pid": os.getpid(),
        }
        files.note_holder(lock, json.dumps(note, ensure_ascii=False))
        yield
    finally:
        os.close(lock)


def shared(host: HostPaths, app: str, what: str) -> ContextManager[None]:
    """Hold what all apps of this host share: the ports and nginx."""
    return held(host.lock, what, Origin(app, "this host"), _SHARED_WAIT_S)


def at_work(path: Path) -> Optional[str]:
    """Who holds the lock, since when, doing what; None when nobody does. Looks only: it is not taken for a moment."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if processes.has_lock(int(json.loads(path.read_text())["pid"]), path.stat().st_ino):
            return _holder(path)
    return None


def _take(path: Path, wait_s: float) -> int:
    deadline = time.monotonic() + wait_s
    while True:
        lock = _try(path)
        if lock is not None:
            return lock
        if time.monotonic() >= deadline:
            raise Locked(_holder(path), hint="wait for it, or use --wait SECONDS")
        time.sleep(_LOOK_EVERY_S)


def _try(path: Path) -> Optional[int]:
    """The locked descriptor, or None. The file may have been removed by a destroy while we waited for it."""
    files.make_dir(path.parent)
    lock = files.open_lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == path.stat().st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None


def _clock(since: str) -> str:
    """As this machine's clocks show it, with the zone; and the day when it is not today."""
    when, today = (moment.astimezone() for moment in (datetime.fromisoformat(since), datetime.now(timezone.utc)))
    return when.strftime("%H:%M:%S %Z" if when.date() == today.date() else "%Y-%m-%d %H:%M:%S %Z")


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads(path.read_text())
        return (
            f"{note['who']}@{note['machine']} is at work here since {_clock(str(note['since']))}: "
            f"{note['what']} (process {note['pid']})"
        )
    return "another command is at work here"
