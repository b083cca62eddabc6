"""The one module that runs systemctl, and reads properties and exit codes only.

While systemd re-executes itself (unattended upgrades do that), it answers nobody and loses orders. A question that
failed is not an answer, so both are repeated for some seconds.
"""

import re
import time
from typing import Callable, Dict, List, Sequence

from teal_host.ground.errors import CannotRun, NoProcess
from teal_host.ground.remedies import on_server
from teal_host.ground.run import Ran, run

_PATIENCE_S = 8.0  # systemd is back after one or two, on a busy machine later
_PAUSE_S = 0.05
_ANSWER_S = 10.0
_RELOAD_S = 60.0


def properties(unit: str, names: Sequence[str]) -> Dict[str, str]:
    """Of the unit; of systemd itself where `unit` is empty. Raises CannotRun when systemd does not answer."""
    argv = ["systemctl", "show", *([unit] if unit else []), f"--property={','.join(names)}"]
    try:
        shown = _until(lambda ran: ran.code == 0 and bool(ran.output.strip()), argv, _ANSWER_S)
    except NoProcess:
        raise
    except CannotRun as late:
        raise CannotRun("systemd does not answer", [late.message], on_server("systemctl status")) from None
    if shown.code or not shown.output.strip():
        raise CannotRun("systemd does not answer", shown.lines[-3:], on_server("systemctl status"))
    return dict(line.split("=", 1) for line in shown.lines if "=" in line)


def number(shown: Dict[str, str], name: str) -> int:
    """The property as a number; 0 where systemd names none, such as for `infinity`."""
    text = shown.get(name, "")
    return int(text) if re.fullmatch("[0-9]{1,20}", text) else 0


def version() -> int:
    """Of systemd, such as 252. Raises CannotRun."""
    words = properties("", ["Version"]).get("Version", "")
    digits = re.search(r"[0-9]{1,9}", words)
    if digits is None:
        raise CannotRun(f"systemd says that its version is {words[:40]!r}")
    return int(digits.group())


def text(unit: str) -> List[str]:
    """The lines of the unit's files, an admin's additions last. Raises CannotRun."""
    shown = _until(lambda ran: ran.code == 0, ["systemctl", "cat", "--no-pager", unit], _ANSWER_S)
    if shown.code:
        raise CannotRun(f"systemd does not know {unit}", shown.lines[-3:], "teal setup")
    return shown.lines


def order(verb: str, unit: str, limit_s: float, is_settled: Callable[[], bool]) -> Ran:
    """Start, stop or reset the unit; `verb` may have options. `is_settled`: is the failure the unit's own, or the order
    carried out?
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        ran = run(["systemctl", *verb.split(), unit], limit_s)
        if ran.code == 0 or is_settled() or time.monotonic() > deadline:
            return ran  # else at once again: systemd has just answered


def has_ended(unit: str) -> bool:
    """Also a unit that systemd does not know. Raises CannotRun when systemd does not answer."""
    return properties(unit, ["ActiveState"]).get("ActiveState") in ("inactive", "failed")


def has_failed(state: Dict[str, str]) -> bool:
    """By its LoadState and ActiveState: has systemd failed to start the unit, or can it not be started at all?"""
    return state.get("LoadState") != "loaded" or state.get("ActiveState") == "failed"


def reload_units() -> None:
    """systemd reads its unit files again; no program notices."""
    reloaded = _until(lambda ran: ran.code == 0, ["systemctl", "daemon-reload"], _RELOAD_S)
    if reloaded.code:
        raise CannotRun("systemd does not read its units again", reloaded.lines[-3:])


def _until(is_done: Callable[[Ran], bool], argv: Sequence[str], limit_s: float) -> Ran:
    """The first run that is done, or the last one that time is left for."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        ran = run(argv, limit_s)
        if is_done(ran) or time.monotonic() > deadline:
            return ran
        time.sleep(_PAUSE_S)
