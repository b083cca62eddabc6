"""systemd, on a server: each color is an instance of the app's unit. It knows the processes by their cgroup, restarts
a program that crashes, and keeps its output in the system's log under the name of its release.

Only properties are read of systemctl, never its prose.
"""

import contextlib
import datetime
import json
import os
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from teal_host.ground import files, processes
from teal_host.ground.errors import CannotRun
from teal_host.ground.paths import AppPaths, ColorPaths
from teal_host.ground.processes import Life
from teal_host.ground.run import Program, run
from teal_host.state.seams import OutputLine, ProcessState
from teal_host.supervisors import journald
from teal_host.supervisors.base import ended_by
from teal_host.wire.grammar import release_name

_PROPERTIES = "ActiveState,MainPID,Result,ExecMainCode,ExecMainStatus,ExecMainStartTimestampMonotonic,ControlGroup"
_PROPERTIES += ",NRestarts,MemoryMax"
_CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"))
_CTL_S, _START_S = 30.0, 60.0
_LIVE_OOM_SCORE, _STANDBY_OOM_SCORE = 0, 500
_UP = ("initializing", "starting", "running", "degraded", "maintenance")
_EXITED, _KILLED, _DUMPED = "1", "2", "3"  # CLD_EXITED, CLD_KILLED, CLD_DUMPED (waitid(2))
_SAYS = {  # what systemd itself exits with in the program's place (systemd.exec(5))
    "203": "it could not be executed (203/EXEC)",
    "217": "its user is not there (217/USER)",
    "226": "its sandbox could not be made (226/NAMESPACE)",
    "228": "its system calls could not be limited (228/SECCOMP)",
    "238": "its data directory could not be made (238/STATE_DIRECTORY)",
    "243": "what it is to start was not handed over (243/CREDENTIALS)",
}
_NO_SANDBOX = "every directory of [sandbox] writable must be there on the server; teal doctor tells more"


class Systemd:
    """A Supervisor. Asking systemctl takes 10 ms, so it is not asked again for what the kernel tells as well."""

    def __init__(self) -> None:
        self._running: Dict[str, Tuple[Life, ProcessState]] = {}  # by unit: the main process that systemd named
        self._groups: Dict[str, str] = {}  # by unit: its cgroup, which is the same at every start
        self._reset: Set[str] = set()  # units that have not run since their failures were forgotten

    def start(self, color: ColorPaths, program: Program) -> None:
        told = {"release": color.held, "argv": list(program.argv), "env": program.env, "cwd": str(program.cwd)}
        files.write(color.start, json.dumps(told), mode=0o600)
        self._forget_failures(color)  # a crash loop of before must not count against it
        self._reset.discard(color.unit)
        began = time.time()
        if run(["systemctl", "start", color.unit], _START_S).code:
            end = self.state(color).end
            hint = _NO_SANDBOX if end == _SAYS["226"] else ""
            raise CannotRun(f"{color.unit} does not start: {end}", _why_not(color, began), hint)

    def stop(self, color: ColorPaths, grace_s: float) -> None:
        """systemd sends TERM to the program, and at the unit's own limit KILL to all of its cgroup."""
        stopped = run(["systemctl", "stop", color.unit], grace_s + 30)
        if stopped.code and self.pids(color):
            raise CannotRun(f"{color.unit} does not stop", stopped.lines[-3:])
        self._forget_failures(color)
        files.remove(color.start)

    def _forget_failures(self, color: ColorPaths) -> None:
        if color.unit not in self._reset:
            run(["systemctl", "reset-failed", color.unit], _CTL_S)
            self._reset.add(color.unit)

    def state(self, color: ColorPaths) -> ProcessState:
        """The main process that systemd has named is its main process as long as it lives."""
        life, running = self._running.get(color.unit, (None, None))
        if running and life and processes.life(life.pid) == life:
            return running
        found = self._asked(color)
        alive = processes.life(found.pid) if found.pid else None
        if alive:
            self._running[color.unit] = (alive, found)
        return found

    def _asked(self, color: ColorPaths) -> ProcessState:
        told = self._show(color)
        pid = int(told.get("MainPID") or 0)
        since = _since(told.get("ExecMainStartTimestampMonotonic", ""))
        if told.get("ActiveState") in ("active", "activating", "reloading", "deactivating") and pid:
            return ProcessState("running", pid, since, restarts=int(told.get("NRestarts") or 0))
        never = told.get("ExecMainCode", "0") == "0"  # since the machine came up
        if told.get("ActiveState") == "inactive" and (never or not color.start.exists()):
            return ProcessState("stopped")
        return ProcessState("failed", None, since, _end(told))

    def pids(self, color: ColorPaths) -> Set[int]:
        group = self._groups.get(color.unit) or self._show(color).get("ControlGroup", "")
        return {pid for top in _CGROUPS for pid in _members(top / group.lstrip("/"))} if group else set()

    def _show(self, color: ColorPaths) -> Dict[str, str]:
        told = run(["systemctl", "show", color.unit, f"--property={_PROPERTIES}"], _CTL_S)
        found = dict(line.split("=", 1) for line in told.lines if "=" in line)
        if found.get("ControlGroup"):
            self._groups[color.unit] = found["ControlGroup"]
        return found

    def tail(self, color: ColorPaths) -> "_JournalTail":
        return _JournalTail(color)

    def remarks(self, color: ColorPaths) -> List[str]:
        return journald.words(color.unit).lines

    def enable(self, color: ColorPaths) -> None:
        link = _paths(color).at_boot(color.color)
        if not link.is_symlink():
            files.make_dir(link.parent)
            files.turn_link(link, str(_paths(color).unit))

    def is_ending(self) -> bool:
        """At its very end systemd answers no more."""
        return run(["systemctl", "is-system-running"], _CTL_S).output.strip() not in _UP

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


def _why_not(color: ColorPaths, since: float) -> List[str]:
    """systemd's own words, as errors, on the way to a program that it could not start.

    Before it changes the user: from then on the app could have written them.
    """
    run(["journalctl", "--sync"], _CTL_S)
    form = ["--output", "cat", "--no-pager", "--quiet", "--since", f"@{since:.6f}"]
    told = run(["journalctl", *form, f"UNIT={color.unit}", "PRIORITY=3", "_UID=0"], _CTL_S)
    return [f"systemd says: {line}" for line in told.lines[:2]]


class _JournalTail:
    """A Tail over the system's log. Asked again and again, so that no child is left when nobody listens any more."""

    pause_s = 0.5  # each look starts journalctl: 12 ms of a processor

    def __init__(self, color: ColorPaths) -> None:
        self._color = color
        self._after = ["--since", f"@{time.time():.6f}"]

    def last(self, lines: int) -> List[OutputLine]:
        run(["journalctl", "--sync"], _CTL_S)  # what a program wrote just before it ended
        found = self._read(["--lines", str(max(lines, 1))])
        return found[-lines:] if lines else []

    def more(self) -> List[OutputLine]:
        return self._read(self._after)

    def _read(self, where: List[str]) -> List[OutputLine]:
        its_output = [f"_SYSTEMD_UNIT={self._color.unit}", "_TRANSPORT=stdout"]
        form = ["--output", "json", "--output-fields", "MESSAGE,SYSLOG_IDENTIFIER", "--all", "--no-pager", "--quiet"]
        found = []
        for line in run(["journalctl", *form, *where, *its_output], _CTL_S).lines:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                entry = json.loads(line)
                self._after = ["--after-cursor", entry["__CURSOR"]]
                found.append(self._written(entry))
        return found

    def _written(self, entry: Dict[str, Any]) -> OutputLine:
        """What is not said under a release's name was said on the way to it."""
        name, message = str(entry.get("SYSLOG_IDENTIFIER")), entry["MESSAGE"]
        if isinstance(message, list):  # not UTF-8: journalctl gives the bytes as numbers
            message = bytes(message).decode(errors="replace")
        at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        return OutputLine(name if release_name(name) is None else self._color.held or "", str(message), at)


def _members(group: Path) -> Set[int]:
    """Of a cgroup and all below it. Each may vanish at any moment; os.walk passes over what it cannot list."""
    found: Set[int] = set()
    for folder, _, _ in os.walk(group):
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()}
    return found


def _since(monotonic_us: str) -> Optional[str]:
    if not monotonic_us.isdigit() or monotonic_us == "0":
        return None
    ago = time.clock_gettime(time.CLOCK_MONOTONIC) - int(monotonic_us) / 1e6
    when = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=ago)
    return when.isoformat(timespec="seconds")


def _end(told: Dict[str, str]) -> str:
    status = told.get("ExecMainStatus", "")
    if told.get("Result") == "oom-kill":
        return f"it was ended because memory ran out{_limit(told.get('MemoryMax', ''))}"
    if told.get("ExecMainCode") == _EXITED:
        return _SAYS.get(status, f"it exited with code {status}")
    if told.get("ExecMainCode") in (_KILLED, _DUMPED) and status.isdigit():
        return ended_by(int(status))
    return f"systemd says {told.get('Result') or 'nothing'}"


def _limit(most: str) -> str:
    return f" (it may have {int(most) >> 20} MB: [sandbox] memory_mb)" if most.isdigit() else ""


def _paths(color: ColorPaths) -> AppPaths:
    """A color lives below var/lib/teal/<app> of its root."""
    return AppPaths(color.home.parents[4], color.app)
