"""The system's log: what a color's program wrote, and what systemd wrote about its unit."""

import contextlib
import itertools
import json
import re
import time
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Sequence

from teal_host.ground.errors import DAMAGED, CannotRun
from teal_host.ground.paths import ColorPaths
from teal_host.ground.run import output_lines, run
from teal_host.ground.systemctl import number, properties
from teal_host.state.seams import OutputLine
from teal_host.supervisors.base import ended_by
from teal_host.supervisors.ends import ProcessEnd, exited_with
from teal_host.wire.grammar import release_name

_PROCESS_EXITED = "98e322203f7a4ed290d09fe03c09fe15"  # sd-messages(3), SD_MESSAGE_UNIT_PROCESS_EXIT
_UNIT_SUCCEEDED = "7ad2d189f7e94e70a38c781354912448"  # ditto, SD_MESSAGE_UNIT_SUCCESS: it exited with 0, say
_BY_SYSTEMD = "_PID=1"  # anybody may write UNIT= and MESSAGE_ID=; the fields with _ are journald's own
_LINES = 6
_MOST_ENDS = 10_000  # that are read, of a program that ended more often: some hours of trying in vain
_MEANWHILE = 300  # ends in the time that the log takes
_READ_S = 30.0


@dataclass(frozen=True)
class Invocation:
    """A run of a unit: the one of the moment in which systemd counted the ends, and whether it went on then."""

    id: str
    runs: bool

    def end(self, logged: List[str]) -> int:
        """How many of the logged ends are of then; those of later ones follow."""
        if self.id not in logged:
            return len(logged)
        return logged.index(self.id) if self.runs else len(logged) - logged[::-1].index(self.id)


@dataclass(frozen=True)
class UnitLog:
    """`restarts`: by systemd, since the unit was started; `last_end` of its process; `lines`: systemd's own."""

    restarts: int
    last_end: str
    lines: List[str]


def read_unit_log(unit: str) -> UnitLog:
    run(["journalctl", "--sync"], _READ_S)  # what was written just now
    restarts = number(properties(unit, ["NRestarts"]), "NRestarts")
    exits = list(_entries(["--lines=1", f"MESSAGE_ID={_PROCESS_EXITED}", f"UNIT={unit}", _BY_SYSTEMD]))
    lines = [str(entry.get("MESSAGE", "")) for entry in _entries([f"--lines={_LINES}", f"UNIT={unit}", _BY_SYSTEMD])]
    return UnitLog(restarts, process_end(exits[-1]) if exits else "", lines)


def ends(unit: str, most: int, last: Invocation) -> List[ProcessEnd]:
    """How the unit's process ended, the last so many times when systemd counted them, the newest last. systemd logs no
    exit code of 0.
    """
    run(["journalctl", "--sync"], _READ_S)
    ended = [f"MESSAGE_ID={_PROCESS_EXITED}", f"MESSAGE_ID={_UNIT_SUCCEEDED}", f"UNIT={unit}", _BY_SYSTEMD]
    fields = ["--output-fields", "EXIT_CODE,EXIT_STATUS,INVOCATION_ID"]
    count = min(most, _MOST_ENDS)
    entries = _entries([f"--lines={count + _MEANWHILE}", *fields, *ended])
    times = [(str(entry.get("__REALTIME_TIMESTAMP")), entry) for entry in entries]
    times = [(at, entry) for at, entry in times if re.fullmatch("[0-9]{1,16}", at)]
    end = last.end([str(entry.get("INVOCATION_ID")) for _, entry in times])
    return [ProcessEnd(int(at) / 1e6, process_end(entry)) for at, entry in times[max(0, end - count) : end]]


def process_end(entry: Dict[str, Any]) -> str:
    """How a process ended, by the fields of the entry."""
    status = str(entry.get("EXIT_STATUS", "0"))
    if entry.get("EXIT_CODE", "exited") == "exited" or not re.fullmatch("[0-9]{1,3}", status):
        return exited_with(status)
    return ended_by(int(status))


def start_errors(unit: str, since: float) -> List[str]:
    """systemd's own errors on the way to a program that it could not start.

    `_UID=0`: before systemd changes the user. From then on the app could have written them.
    """
    errors: List[str] = []
    with contextlib.suppress(CannotRun):  # that the program does not start is said without them, too
        run(["journalctl", "--sync"], _READ_S)
        for entry in itertools.islice(
            _entries(["--since", f"@{since:.6f}", f"UNIT={unit}", "PRIORITY=3", "_UID=0"]), 2
        ):
            errors.append(f"systemd says: {entry.get('MESSAGE')}")
    return errors


class JournalTail:
    """A Tail over the system's log. Each look runs journalctl to its end, so no child is left when nobody listens."""

    pause_s = 0.5  # a look costs 12 ms of a processor

    def __init__(self, colors: Sequence[ColorPaths]) -> None:
        self._colors = {color.unit: color for color in colors}
        self._after = ["--since", f"@{time.time():.6f}"]

    def last(self, lines: int) -> Iterator[OutputLine]:
        run(["journalctl", "--sync"], _READ_S)  # what a program wrote just before it ended
        if lines:
            yield from self._read(["--lines", str(lines)])

    def more(self) -> Iterator[OutputLine]:
        yield from self._read(self._after)

    def _read(self, where: List[str]) -> Iterator[OutputLine]:
        by_the_programs = ["_TRANSPORT=stdout", *(f"_SYSTEMD_UNIT={unit}" for unit in self._colors)]
        fields = "MESSAGE,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT"
        for entry in _entries(["--output-fields", fields, "--all", *where, *by_the_programs]):
            with contextlib.suppress(*DAMAGED):
                line = self._output_line(entry)
                self._after = ["--after-cursor", str(entry["__CURSOR"])]
                yield line

    def _output_line(self, entry: Dict[str, Any]) -> OutputLine:
        """A line without a release's name was written on the way to the program."""
        color = self._colors[entry["_SYSTEMD_UNIT"]]
        name, message = str(entry.get("SYSLOG_IDENTIFIER")), entry["MESSAGE"]
        if isinstance(message, list):  # not UTF-8: journalctl gives the bytes as numbers
            message = bytes(message).decode(errors="replace")
        return OutputLine(color.color, name if release_name(name) is None else color.held or "", str(message))


def _entries(arguments: Sequence[str]) -> Iterator[Dict[str, Any]]:
    for line in output_lines(["journalctl", "--output", "json", "--no-pager", "--quiet", *arguments], _READ_S):
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                yield entry
