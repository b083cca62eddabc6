"""How a program ended, and whether its ends are a row: the supervisor starts it again, and it ends again."""

import datetime
import itertools
from typing import List, NamedTuple, Optional, Sequence

from teal_host.wire.reports import MOST_ENDS, EndsReport, RestartsReport

_ONE_ROW_S = 300.0  # ends that follow each other so soon have one cause
_BACK_S = 60.0  # a program that has run for so long again is back
_EXITS_OF_SYSTEMD = {  # what systemd itself exits with in the program's place (systemd.exec(5))
    "203": "it could not be executed (203/EXEC)",
    "217": "its user is not there (217/USER)",
    "226": "its sandbox could not be made (226/NAMESPACE)",
    "228": "its system calls could not be limited (228/SECCOMP)",
    "238": "its data directory could not be made (238/STATE_DIRECTORY)",
    "243": "what it is to start was not handed over (243/CREDENTIALS)",
}


class ProcessEnd(NamedTuple):
    """When, in seconds since 1970, and how."""

    at: float
    how: str


def exited_with(code: str) -> str:
    return _EXITS_OF_SYSTEMD.get(code, f"it exited with code {code}")


def ends_in_a_row(ends: Sequence[ProcessEnd]) -> List[ProcessEnd]:
    """The last ends that followed each other soon."""
    first = len(ends)
    while first > 0 and (first == len(ends) or ends[first].at - ends[first - 1].at < _ONE_ROW_S):
        first -= 1
    return list(ends[first:])


def restarts_report(ends: Sequence[ProcessEnd], running: bool, now: float) -> Optional[RestartsReport]:
    """`ends`: since the program was started by hand. A program that ended once and runs again is back."""
    row = ends_in_a_row(ends)
    if not row or (running and (len(row) == 1 or now - row[-1].at > _BACK_S)):
        return None
    groups = [list(group) for _, group in itertools.groupby(row, lambda end: end.how)]
    reports = [EndsReport(group[0].how, len(group), _moment(group[0]), _moment(group[-1])) for group in groups]
    return RestartsReport(_moment(row[0]), len(row), tuple(reports[-MOST_ENDS:]))


def _moment(end: ProcessEnd) -> str:
    return datetime.datetime.fromtimestamp(end.at, datetime.timezone.utc).isoformat(timespec="seconds")
