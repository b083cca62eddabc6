"""A program behind a start script, or behind `npm start`: the script is what its supervisor tells to end.

A shell that is told to end does so at once and tells nobody, so the program would be killed in the middle of its
requests. So Teal tells the process that listens, and waits for it first. A main process that listens itself manages its
own children, such as the workers of a server: nobody else tells them.
"""

import signal
import time
from functools import partial
from typing import Callable, Optional, Set

from teal_host.ground import processes, run, sockets
from teal_host.ground.processes import Life

_LOOK_EVERY_S = 0.02


def listening(main: Optional[int], pids: Set[int]) -> Set[int]:
    """The processes that listen in the place of the main process. Where a parent and its child do, the parent."""
    inodes = sockets.listening_inodes()
    holders = {pid for pid in pids if sockets.held(inodes, [pid])}
    return set() if main in holders else {pid for pid in holders if processes.parent(pid) not in holders}


def _is_still_of(life: Life, pids: Callable[[], Set[int]]) -> bool:
    return life.pid in pids() and processes.life(life.pid) == life


def end(main: Optional[int], pids: Callable[[], Set[int]], grace_s: float) -> None:
    """Tell the listening children to end, and wait for them. `pids`: all processes of the color, asked anew before a
    signal.
    """
    ending = {life for life in map(processes.life, listening(main, pids())) if life}
    for life in ending:
        run.send_signal_if(life.pid, signal.SIGTERM, partial(_is_still_of, life, pids))
    deadline = time.monotonic() + grace_s
    while any(processes.life(life.pid) == life for life in ending) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
