"""systemd, on a server: each color is an instance of the app's unit.

systemd knows the processes by their cgroup, restarts a program that crashes, and keeps its output in the system's log
under the name of its release.
"""

import contextlib
import datetime
import json
import os
import time
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set, Tuple

from teal_host.ground import files, processes, systemctl
from teal_host.ground.errors import CannotRun
from teal_host.ground.paths import AppPaths, ColorPaths
from teal_host.ground.processes import Life
from teal_host.ground.run import Program, Ran
from teal_host.state.seams import ProcessState
from teal_host.supervisors import children, journald
from teal_host.supervisors.base import BOOTED, START_FORMAT, STOP_GRACE_S, ended_by
from teal_host.supervisors.ends import exited_with, restarts_report
from teal_host.supervisors.journald import Invocation, JournalTail
from teal_host.wire.reports import RestartsReport

_STARTED = "ExecMainStartTimestampMonotonic"
_PROPERTIES = (
    *("LoadState", "ActiveState", "MainPID", "Result", "ControlGroup", "NRestarts", "MemoryMax"),
    *("ExecMainCode", "ExecMainStatus", "InvocationID", _STARTED),
)
_CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"))
_RESET_S, _START_S, _STOP_S = 30.0, 60.0, 30.0  # to stop: beside the grace of the program
_LOOK_EVERY_S = 0.02
_FIRST, _SHUTDOWN = 1, "systemd-shutdown"  # the process that ends last, and the program that it becomes for that
_LIVE_OOM_SCORE, _STANDBY_OOM_SCORE = 0, 500
_HAS_PROCESS = ("active", "activating", "reloading", "deactivating")
_EXITED, _KILLED, _DUMPED = "1", "2", "3"  # CLD_EXITED, CLD_KILLED, CLD_DUMPED (waitid(2))
_NO_SANDBOX = "every directory of [sandbox] writable must be there on the server; teal doctor tells more"


class Systemd:
    """A Supervisor. A question to systemctl takes 10 ms, so what the kernel tells as well is read from the kernel."""

    def __init__(self) -> None:
        self._running: Dict[str, Tuple[Life, ProcessState]] = {}  # by unit: the main process that systemd named
        self._groups: Dict[str, str] = {}  # by unit: its cgroup, which is the same at every start
        self._reset: Set[str] = set()  # units that have not run since their failures were forgotten

    def start(self, color: ColorPaths, program: Program) -> None:
        start = {"release": color.held, "argv": list(program.argv), "env": program.env, "cwd": str(program.cwd)}
        files.write(color.start, json.dumps({**start, "format": START_FORMAT}), mode=0o600)
        self._forget_failures(color)  # a crash loop of before must not count against it
        self._reset.discard(color.unit)
        began, began_us = time.time(), time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
        ordered = systemctl.order("start", color.unit, _START_S, lambda: self._was_tried(color, began_us))
        if ordered.code:
            state = self.state(color)
            if state.state != "running":
                hint = _NO_SANDBOX if state.end == exited_with("226") else ""
                errors = journald.start_errors(color.unit, began) or ordered.lines[-3:]
                raise CannotRun(f"{color.unit} does not start: {state.end}", errors, hint)

    def stop(self, color: ColorPaths, grace_s: float) -> None:
        """systemd sends TERM to the main process, and when that has ended, or at the unit's own limit, KILL to all of
        its cgroup.
        """
        state = self.state(color)
        if state.state == "running":
            children.end(state.pid, lambda: self.pids(color), grace_s)
            if grace_s < STOP_GRACE_S:
                self._kill_after(color, grace_s)
        stopped = self._order_stop(color, "stop", grace_s)
        if stopped.code and self.pids(color):
            raise CannotRun(f"{color.unit} does not stop", stopped.lines[-3:])
        self._running.pop(color.unit, None)
        self._forget_failures(color)
        files.remove(color.start)

    def _order_stop(self, color: ColorPaths, verb: str, grace_s: float) -> Ran:
        return systemctl.order(verb, color.unit, grace_s + _STOP_S, lambda: systemctl.has_ended(color.unit))

    def _kill_after(self, color: ColorPaths, grace_s: float) -> None:
        """Sooner than the unit's own limit, which is STOP_GRACE_S."""
        self._order_stop(color, "stop --no-block", grace_s)
        deadline = time.monotonic() + grace_s
        while self.pids(color) and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)
        if self.pids(color):
            systemctl.order("kill --signal=KILL", color.unit, _STOP_S, lambda: not self.pids(color))

    def state(self, color: ColorPaths) -> ProcessState:
        """The main process that systemd has named is its main process as long as it lives."""
        life, running = self._running.get(color.unit, (None, None))
        if running and life and processes.life(life.pid) == life:
            return running
        state = _state(color, self._properties(color))
        alive = processes.life(state.pid) if state.pid else None
        if alive:
            self._running[color.unit] = (alive, state)
        return state

    def pids(self, color: ColorPaths) -> Set[int]:
        group = self._groups.get(color.unit) or self._properties(color).get("ControlGroup", "")
        return {pid for top in _CGROUPS for pid in _members(top / group.lstrip("/"))} if group else set()

    def tail(self, colors: Sequence[ColorPaths]) -> JournalTail:
        return JournalTail(colors)

    def remarks(self, color: ColorPaths) -> List[str]:
        """They explain a failure, so they are no failure themselves."""
        try:
            return journald.read_unit_log(color.unit).lines
        except CannotRun as error:
            return [error.message]

    def restarts(self, color: ColorPaths) -> Optional[RestartsReport]:
        state = self.state(color)
        properties = self._properties(color) if state.restarts or state.state == "failed" else {}
        count, now = systemctl.number(properties, "NRestarts"), _state(color, properties)
        if not (count or now.restarts_soon):
            return None
        running = now.state == "running"
        last = Invocation(properties.get("InvocationID", ""), running)
        with contextlib.suppress(CannotRun):  # the log may hang, and says nothing of whether the program runs
            ends = journald.ends(color.unit, count if running else count + 1, last)
            return restarts_report(ends, running, time.time())
        return None

    def enable(self, color: ColorPaths) -> None:
        link = _paths(color).at_boot(color.color)
        if not link.is_symlink():
            files.make_dir(link.parent)
            files.turn_link(link, str(_paths(color).unit))

    def is_ending(self) -> bool:
        """No answer is not the end: systemd may be re-executing itself. At the end systemd-shutdown takes its place,
        which answers nothing and waits for every process.
        """
        if Path(processes.executable(_FIRST)).name == _SHUTDOWN:
            return True
        with contextlib.suppress(CannotRun):
            return systemctl.properties("", ["SystemState"]).get("SystemState") == "stopping"
        return False

    def favor(self, live: Optional[ColorPaths], others: Sequence[ColorPaths]) -> None:
        if live:
            self.enable(live)
            self._offer_to_the_kernel(live, _LIVE_OOM_SCORE)
        for color in others:
            files.remove(_paths(color).at_boot(color.color))
            self._offer_to_the_kernel(color, _STANDBY_OOM_SCORE)

    def _offer_to_the_kernel(self, color: ColorPaths, score: int) -> None:
        for pid in self.pids(color):
            files.set_oom_score(pid, score)

    def _properties(self, color: ColorPaths) -> Dict[str, str]:
        properties = systemctl.properties(color.unit, _PROPERTIES)
        if properties.get("ControlGroup"):
            self._groups[color.unit] = properties["ControlGroup"]
        return properties

    def _forget_failures(self, color: ColorPaths) -> None:
        if color.unit not in self._reset:
            systemctl.order(
                "reset-failed", color.unit, _RESET_S, lambda: self._properties(color).get("ActiveState") != "failed"
            )
            self._reset.add(color.unit)

    def _was_tried(self, color: ColorPaths, since_us: float) -> bool:
        """Did systemd start a process of the unit since then, or fail to?"""
        properties = self._properties(color)
        return systemctl.has_failed(properties) or systemctl.number(properties, _STARTED) >= since_us


def _state(color: ColorPaths, properties: Dict[str, str]) -> ProcessState:
    active, pid = properties.get("ActiveState"), systemctl.number(properties, "MainPID")
    since = _start_time(systemctl.number(properties, _STARTED))
    if active in _HAS_PROCESS and pid:
        return ProcessState("running", pid, since, restarts=systemctl.number(properties, "NRestarts"))
    never = properties.get("ExecMainCode", "0") == "0"  # since the machine came up
    if active == "inactive" and (never or not color.start.exists()):
        return ProcessState("stopped", end=BOOTED if never and _ran_before_the_boot(color) else "")
    return ProcessState("failed", None, since, _end(properties), restarts_soon=active == "activating")


def _ran_before_the_boot(color: ColorPaths) -> bool:
    """systemd forgets a unit that does not run, so `never` alone does not tell."""
    with contextlib.suppress(OSError):  # Teal has stopped it, or has never started it
        return color.start.stat().st_mtime < processes.booted_at()
    return False


def _end(properties: Dict[str, str]) -> str:
    status = properties.get("ExecMainStatus", "")
    if properties.get("Result") == "oom-kill":
        return f"it was ended because memory ran out{_limit(systemctl.number(properties, 'MemoryMax'))}"
    if properties.get("ExecMainCode") == _EXITED:
        return exited_with(status)
    if properties.get("ExecMainCode") in (_KILLED, _DUMPED) and systemctl.number(properties, "ExecMainStatus"):
        return ended_by(systemctl.number(properties, "ExecMainStatus"))
    return f"systemd says {properties.get('Result') or 'nothing'}"


def _limit(memory_max: int) -> str:
    return f" (it may have {memory_max >> 20} MB: [sandbox] memory_mb)" if memory_max else ""


def _start_time(monotonic_us: int) -> Optional[str]:
    """UTC, ISO 8601; None for a process that was never started, as at a time that is still to come."""
    ago = time.clock_gettime(time.CLOCK_MONOTONIC) - monotonic_us / 1e6
    if not monotonic_us or ago < 0:
        return None
    when = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=ago)
    return when.isoformat(timespec="seconds")


def _members(group: Path) -> Set[int]:
    """Of a cgroup and all below it. Each may vanish at any moment; os.walk passes over what it cannot list."""
    pids: Set[int] = set()
    for folder, _, _ in os.walk(group):
        with contextlib.suppress(OSError):
            pids |= {int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()}
    return pids


def _paths(color: ColorPaths) -> AppPaths:
    return AppPaths(color.root, color.app)
