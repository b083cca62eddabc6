"""Which server sides belong to a deploy key. Each holds the lock of one of the key's places, so the kernel says it.

A key has a few places, so that its connections fill no memory.
"""

import signal
import time
from pathlib import Path
from typing import Iterator, Tuple

from teal_host.ground import files, lock
from teal_host.ground.errors import CannotRun, NotAllowed
from teal_host.ground.paths import HostPaths
from teal_host.ground.run import send_signal_if

MOST = 8
_PAUSE_S, _ENDS_WITHIN_S = 0.02, 10.0


def take(host: HostPaths, key: str) -> None:
    """Hold a place of this key until this process ends. Raises NotAllowed where other connections hold all of them."""
    files.make_dir(host.key_places, 0o700)
    if not any(lock.keep(place) for place in _places(host, key)):
        message = f"this key has {MOST} connections to this server already"
        raise NotAllowed(message, hint="the same command again, when one of them has ended")


def end_all(host: HostPaths, key: str) -> None:
    """Kill every server side of this key. Raises CannotRun.

    The footprint no longer names the key, and a server side reads the footprint only after it has taken its place. So
    a server side that comes later refuses by itself.
    """
    deadline = time.monotonic() + _ENDS_WITHIN_S
    while held := list(_held(host, key)):
        if time.monotonic() > deadline:
            evidence = [f"process {pid}" for _, pid in held]
            raise CannotRun("server sides of this key do not end", evidence, "the same command again")
        for place, pid in held:
            send_signal_if(pid, signal.SIGKILL, lambda place=place, pid=pid: lock.holder_of(place) == pid)  # type: ignore[misc]
        time.sleep(_PAUSE_S)


def _held(host: HostPaths, key: str) -> Iterator[Tuple[Path, int]]:
    for place in _places(host, key):
        pid = lock.holder_of(place)
        if pid:
            yield place, pid


def _places(host: HostPaths, key: str) -> Iterator[Path]:
    return (host.key_places / f"{key}.{number}" for number in range(MOST))
