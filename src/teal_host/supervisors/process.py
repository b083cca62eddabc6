"""A plain process in a session of its own: for `target = "local"`, without root and without systemd.

Every process of a color carries TEAL_SLOT in its environment, and so do its children. So none is lost from sight, not
even one whose starter was killed before it could write down the number. A program may write its title over its
environment (Perl, Puma, gunicorn): the recorded number, start time and boot prove it as well, and its session with it.
"""

import contextlib
import datetime
import json
import signal
import subprocess
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple

from teal_host.ground import files, processes, run
from teal_host.ground.errors import DAMAGED, CannotRun
from teal_host.ground.paths import ColorPaths
from teal_host.ground.processes import Life
from teal_host.ground.run import Program
from teal_host.state.seams import ProcessState
from teal_host.supervisors import children
from teal_host.supervisors.base import BOOTED, ended_by
from teal_host.supervisors.log_file import LogFileTail
from teal_host.wire.reports import RestartsReport
from teal_host.wire.upward import moment

_LOOK_EVERY_S = 0.02


class PlainProcesses:
    """A Supervisor. It remembers the processes that it started, because only their parent learns how they end."""

    def __init__(self) -> None:
        self._started: Dict[int, Tuple[Path, subprocess.Popen[bytes]]] = {}  # with the color's home

    def start(self, color: ColorPaths, program: Program) -> None:
        self._end_strays(color)
        files.make_dir(program.log.parent, 0o700)
        if color.listens_on_socket.exists():
            files.make_dir(color.socket.parent, 0o700)
            files.remove(color.socket)  # else most programs cannot listen there
        marked = Program(program.argv, {**run.passed_on(), **program.env, **_mark(color)}, program.cwd, program.log)
        try:
            child = run.spawn(marked)
        except OSError as error:
            if error.errno in run.NO_ROOM:
                raise run.not_started(program.argv[0], error) from None
            raise CannotRun(
                f"{program.argv[0]} cannot be started: {run.why(error, program.argv[0], program.cwd)}"
            ) from None
        self._started[child.pid] = color.home, child
        _record(color, child.pid)

    def stop(self, color: ColorPaths, grace_s: float) -> None:
        main = _recorded(color)
        if main and processes.life(main.pid) == main:
            members = _session(main, set())
            began = time.monotonic()
            children.end(main.pid, lambda: self.pids(color), grace_s)
            grace_s = max(0.0, grace_s - (time.monotonic() - began))
            members |= _session(main, members)
            run.signal_life(main, signal.SIGTERM)
            self._wait(lambda: processes.life(main.pid) == main, grace_s)
            for life in members | _session(main, members):
                run.signal_life(life, signal.SIGKILL)
        self._end_strays(color)
        files.remove(color.process)

    def state(self, color: ColorPaths) -> ProcessState:
        main = _recorded(color)
        if main is None:
            return ProcessState("stopped")
        self._reap()
        since = _since(color)
        if processes.life(main.pid) == main:
            return ProcessState("running", main.pid, since)
        if main.boot != processes.boot_id():  # it ended with the machine, as all did, which is no fault of its own
            return ProcessState("stopped", end=BOOTED)
        return ProcessState("failed", None, since, self._end_of(main.pid))

    def pids(self, color: ColorPaths) -> Set[int]:
        """A program shows its environment some moments after its start, so what was started here is known by itself."""
        pids, main = processes.with_env(_assignment(color)), _recorded(color)
        pids |= {pid for pid, (home, child) in self._started.items() if home == color.home and child.poll() is None}
        return pids | {life.pid for life in _session(main, set())} if main else pids

    def tail(self, colors: Sequence[ColorPaths]) -> LogFileTail:
        return LogFileTail(colors)

    def remarks(self, color: ColorPaths) -> List[str]:
        """Nobody watches over a plain process."""
        return []

    def restarts(self, color: ColorPaths) -> Optional[RestartsReport]:
        """Nobody starts a plain process again."""
        return None

    def enable(self, color: ColorPaths) -> None:
        """Nothing of Teal runs at the boot of somebody's own machine."""

    def is_ending(self) -> bool:
        """Nobody asks that of one's own machine."""
        return False

    def favor(self, live: Optional[ColorPaths], others: Sequence[ColorPaths]) -> None:
        """An ordinary user has no say in this."""

    def _end_strays(self, color: ColorPaths) -> None:
        """End what still carries the mark: children, or a process whose starter was killed."""
        for _ in range(50):  # a process that forks while it is being ended has that many chances
            pids = self.pids(color)
            if not pids:
                return
            for pid in pids:
                run.send_signal_if(pid, signal.SIGKILL, lambda pid=pid: pid in self.pids(color))  # type: ignore[misc]
            self._wait(partial(_any_lives, pids), 2.0)
        raise CannotRun(f"processes of {color.app} {color.color} do not end: {sorted(self.pids(color))}")

    def _wait(self, still: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while still() and time.monotonic() < deadline:
            self._reap()
            time.sleep(_LOOK_EVERY_S)

    def _reap(self) -> None:
        for _, child in self._started.values():
            child.poll()

    def _end_of(self, pid: int) -> str:
        child = self._started[pid][1] if pid in self._started else None
        if child is None or child.returncode is None:
            return "it ended; how is not known"
        return _end(child.returncode)


def _session(leader: Life, known: Set[Life]) -> Set[Life]:
    """The processes of the leader's session. None is a stranger: each life is read between two looks at the session,
    and the number is still the leader's, because a process that is known to be of the session lives and is in it.
    """
    lives = [processes.life(pid) for pid in processes.session(leader.pid)]
    still = processes.session(leader.pid)
    is_proven = any(life.pid in still and processes.life(life.pid) == life for life in {leader, *known})
    return {life for life in lives if life and life.pid in still} if is_proven else set()


def _any_lives(pids: Set[int]) -> bool:
    return any(processes.life(pid) for pid in pids)


def _end(code: int) -> str:
    return f"it exited with code {code}" if code >= 0 else ended_by(-code)


def _mark(color: ColorPaths) -> Dict[str, str]:
    name, value = _assignment(color).split("=", 1)
    return {name: value}


def _assignment(color: ColorPaths) -> str:
    return f"TEAL_SLOT={color.home}"


def _record(color: ColorPaths, pid: int) -> None:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    alive = processes.life(pid) or Life(pid, -1, processes.boot_id())  # it may have ended already
    files.write(color.process, json.dumps({"format": 1, "since": now, **asdict(alive)}))


def _recorded(color: ColorPaths) -> Optional[Life]:
    with contextlib.suppress(*DAMAGED):
        record = json.loads(color.process.read_text())
        return Life(int(record["pid"]), int(record["ticks"]), str(record["boot"]))
    return None


def _since(color: ColorPaths) -> Optional[str]:
    with contextlib.suppress(*DAMAGED):
        since = str(json.loads(color.process.read_text())["since"])
        return None if moment(since) else since
    return None
