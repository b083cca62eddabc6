"""What systemd itself wrote of a unit, from the entries of the system's log: never prose that a decision hangs on."""

import contextlib
import json
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Sequence

from teal_host.ground.run import run
from teal_host.supervisors.base import ended_by
from teal_host.supervisors.systemctl import properties

_PROCESS_EXITED = "98e322203f7a4ed290d09fe03c09fe15"  # sd-messages(3), SD_MESSAGE_UNIT_PROCESS_EXIT
_OF_SYSTEMD = "_PID=1"  # anybody may write UNIT= and MESSAGE_ID=; the fields with _ are journald's own
_LINES = 6
_ASK_S = 8.0


@dataclass(frozen=True)
class Words:
    """`restarts`: by systemd, since the unit was started; `last_end` of its process; `lines` of systemd's own."""

    restarts: int
    last_end: str
    lines: List[str]


def words(unit: str) -> Words:
    run(["journalctl", "--sync"], _ASK_S)  # what was said just now
    count = properties(unit, ["NRestarts"]).get("NRestarts", "0")
    exits = list(_entries([f"MESSAGE_ID={_PROCESS_EXITED}", f"UNIT={unit}", _OF_SYSTEMD], 1))
    lines = [str(entry.get("MESSAGE", "")) for entry in _entries([f"UNIT={unit}", _OF_SYSTEMD], _LINES)]
    return Words(int(count) if count.isdigit() else 0, end(exits[-1]) if exits else "", lines)


def end(entry: Dict[str, Any]) -> str:
    """How a process ended, by the fields of the entry."""
    status = str(entry.get("EXIT_STATUS", "?"))
    by_itself = entry.get("EXIT_CODE") == "exited"
    if by_itself or not status.isdigit():
        return f"it exited with code {status}"
    return ended_by(int(status))


def _entries(matches: Sequence[str], count: int) -> Iterator[Dict[str, Any]]:
    argv = ["journalctl", "--output", "json", "--no-pager", "--quiet", "--lines", str(count), *matches]
    for line in run(argv, _ASK_S).lines:
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                yield entry
