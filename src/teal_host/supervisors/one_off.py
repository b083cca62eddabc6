"""One command of `teal exec`, in a unit of its own that has the sandbox and the limits of the app's unit.

systemd opens the ends of our pipes by their paths in /proc, so the bytes go straight to the command. Command and
environment are a credential, as for `launch`: no secret stands in a unit file or in arguments.
"""

import json
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Dict, Iterable, Iterator, Optional

from teal_host.ground import files, run, systemctl
from teal_host.ground.errors import CannotRun
from teal_host.ground.paths import ColorPaths
from teal_host.ground.run import Command, Ends, Piped
from teal_host.supervisors import journald
from teal_host.wire.sources import PYTHON

_UNITS = Path("/run/systemd/system")  # in memory, so a power cut leaves none
_START_S, _STOP_S, _NOTICED_S, _LOOK_EVERY_S = 60.0, 30.0, 10.0, 0.02
_EXITED, _ENDED_BY_SIGNAL = "1", ("2", "3")  # CLD_EXITED, CLD_KILLED, CLD_DUMPED (waitid(2))
# The keys of the app's unit that say how its program is run and not what it may do.
_OF_THE_PROGRAM = re.compile(
    r"Type|Exec(Start|Stop|Reload)\w*|ExecCondition|LoadCredential\w*|Restart\w*|KillMode|Timeout\w*|SyslogIdentifier"
    r"|RuntimeDirectory\w*|Standard\w*|Watchdog\w*|Environment(File)?|RemainAfterExit|SuccessExitStatus|OOMScoreAdjust"
)
_COMMENT = ("#", ";")
_OWN = """\
[Service]
Type=exec
ExecStart={python} -I -S -c 'import json, os; s = json.load(open(os.environ["CREDENTIALS_DIRECTORY"] + "/start")); \
exec(s["code"])'
LoadCredential=start:{start}
StandardInput=file:/proc/{pid}/fd/{ends.stdin}
StandardOutput=file:/proc/{pid}/fd/{ends.stdout}
StandardError=file:/proc/{pid}/fd/{ends.stderr}
KillMode=control-group
TimeoutStopSec=5s
RemainAfterExit=yes
"""
_BECOME = """
import signal, sys
for number in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(number, signal.SIG_DFL)
try:
    os.chdir(s["cwd"])
    os.execvpe(s["argv"][0], s["argv"], s["env"])
except OSError as error:
    is_missing = isinstance(error, FileNotFoundError)
    why = s["missing"] if is_missing else error.strerror
    os.write(2, f"teal: {s['argv'][0]} cannot be started: {why}\\n".encode(errors="surrogateescape"))
    sys.exit(s["not_found"] if is_missing else s["not_executable"])
"""


class _Unit(Piped):
    def __init__(self, name: str, ends: Ends, main: int) -> None:
        super().__init__(ends, _pidfd(main))
        self._name = name
        self._code: Optional[int] = None
        self._ending = threading.Lock()

    def end(self, grace_s: float) -> int:
        with self._ending:
            if self._code is None:
                self._code = -int(signal.SIGTERM)
                try:
                    self._code = self._own_end() if self.ended(0) else self._code
                finally:
                    _end(self._name, grace_s)
            return self._code

    def _own_end(self) -> int:
        """As systemd has it, which may notice the end a moment later. The unit stays until it is stopped."""
        deadline = time.monotonic() + _NOTICED_S
        while True:
            shown = systemctl.properties(self._name, ["MainPID", "ExecMainCode", "ExecMainStatus"])
            if shown.get("MainPID") == "0" or time.monotonic() > deadline:
                return _exit_code(shown)
            time.sleep(_LOOK_EVERY_S)


def spawn(color: ColorPaths, command: Command, codes: Dict[str, int]) -> Piped:
    """As the user and in the sandbox of this color's unit. `codes`: not_found, not_executable. Raises CannotRun."""
    name = f"{_prefix(color.app)}{os.urandom(6).hex()}.service"
    why = run.why(FileNotFoundError(2, os.strerror(2)), command.argv[0], command.cwd)
    start = {"argv": list(command.argv), "env": command.env, "cwd": str(command.cwd), "missing": why, **codes}
    began = time.time()
    with run.pipes(command.user) as (command_ends, teal_ends):
        own = _OWN.format(python=PYTHON, start=_start(name), pid=os.getpid(), ends=command_ends)
        try:
            files.write(_start(name), json.dumps({**start, "code": _BECOME}), mode=0o600)
            files.write(_UNITS / name, own + "".join(_sandbox(color)))
            started = systemctl.order("start", name, _START_S, lambda: True)
            if started.code:
                errors = journald.start_errors(name, began) or started.lines[-3:]
                raise CannotRun("the sandbox of the app cannot be made", errors, "teal doctor")
            return _Unit(name, teal_ends, systemctl.number(systemctl.properties(name, ["MainPID"]), "MainPID"))
        except BaseException:  # systemd may have started the unit, however the order or the question after it ended
            _end(name, 0)
            raise


def end_all(app: str) -> None:
    """Also what a killed server side has left."""
    units = f"{_prefix(app)}*.service"
    names = [path.name for path in _UNITS.glob(units)]
    systemctl.order("stop", units, _STOP_S, lambda: all(map(systemctl.has_ended, names)))
    for name in names:
        _forget(name)


def _prefix(app: str) -> str:
    return f"teal-{app}.exec-"


def _start(name: str) -> Path:
    return _UNITS / f"{name}.json"


def _end(name: str, grace_s: float) -> None:
    """The unit, and then its files: the files go also where systemd does not answer."""
    try:
        systemctl.order("stop", name, grace_s + _STOP_S, lambda: systemctl.has_ended(name))
    finally:
        _forget(name)


def _forget(name: str) -> None:
    files.remove(_UNITS / name)
    files.remove(_start(name))
    systemctl.order("reset-failed", name, _STOP_S, lambda: True)


def _exit_code(shown: Dict[str, str]) -> int:
    """systemd forgets how a unit ended that somebody else has stopped."""
    code, status = shown.get("ExecMainCode"), systemctl.number(shown, "ExecMainStatus")
    if code == _EXITED:
        return status
    return -status if code in _ENDED_BY_SIGNAL else -int(signal.SIGTERM)


def _sandbox(color: ColorPaths) -> Iterator[str]:
    """What the unit of the app, and an admin's additions to it, say of what the program may do."""
    section = ""
    for line in _joined(systemctl.text(color.unit)):
        key, equals, _ = line.partition("=")
        if line.startswith("["):
            section = line.strip()
        elif section == "[Service]" and equals and not _OF_THE_PROGRAM.fullmatch(key.strip()):
            yield _filled(line, color) + "\n"


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """As systemd reads them: a line that ends in a backslash goes on in the next one that is no comment."""
    before = ""
    for text in lines:
        line = text.lstrip()
        if line.startswith(_COMMENT):
            continue
        line = before + line
        goes_on = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        before = line[:-1] + " " if goes_on else ""
        if not goes_on:
            yield line
    if before:
        yield before


def _filled(line: str, color: ColorPaths) -> str:
    """The unit of the command has another name, and is no instance. `%%` stays: systemd reads the line again."""
    unit = color.unit if color.unit.endswith(".service") else f"{color.unit}.service"
    name, prefix = unit[: -len(".service")], unit.partition("@")[0]
    words = {"i": color.color, "I": color.color, "n": unit, "N": name, "p": prefix}
    return re.sub("%(.)", lambda specifier: words.get(specifier[1], specifier[0]), line)


def _pidfd(main: int) -> int:
    """Readable when the main process has ended. 0: it has ended already."""
    try:
        return os.pidfd_open(main)
    except OSError:
        ended, other = os.pipe()
        os.close(other)
        return ended
