"""The one module that talks to systemd about units: by systemctl, of which only properties and exit codes are read.

While systemd re-executes itself, as an unattended upgrade makes it, it answers nobody and loses orders. A question that
failed is not an answer, so it is asked again for some seconds; so is an order that was not carried out.
"""

import time
from typing import Callable, Dict, Sequence

from teal_host.ground.errors import CannotRun
from teal_host.ground.run import Ran, run

_PATIENCE_S = 8.0  # systemd is back after one or two, on a busy machine later
_PAUSE_S = 0.1
_ANSWER_S = 10.0
_RELOAD_S = 60.0


def properties(unit: str, names: Sequence[str]) -> Dict[str, str]:
    """Of the unit; of systemd itself where `unit` is empty. Raises CannotRun when systemd does not answer."""
    argv = ["systemctl", "show", *([unit] if unit else []), f"--property={','.join(names)}"]
    shown = _until(lambda: run(argv, _ANSWER_S), lambda ran: ran.code == 0 and bool(ran.output.strip()))
    if shown.code or not shown.output.strip():
        raise CannotRun("systemd does not answer", shown.lines[-3:], "systemctl status")
    return dict(line.split("=", 1) for line in shown.lines if "=" in line)


def order(verb: str, unit: str, limit_s: float, is_settled: Callable[[], bool]) -> Ran:
    """Start, stop or reset the unit. `is_settled`: asked after a failure, whether it was one of the unit's own, or the
    order was carried out all the same; otherwise systemd never took it, and gets it again.
    """
    argv = ["systemctl", verb, unit]
    return _until(lambda: run(argv, limit_s), lambda ran: ran.code == 0 or is_settled())


def has_failed(unit: str) -> bool:
    """Has systemd failed to start it, or can it not be started at all?"""
    state = properties(unit, ["LoadState", "ActiveState"])
    return state.get("LoadState") != "loaded" or state.get("ActiveState") == "failed"


def reload_units() -> None:
    """systemd reads its unit files again; no program notices. Raises CannotRun."""
    argv = ["systemctl", "daemon-reload"]
    reloaded = _until(lambda: run(argv, _RELOAD_S), lambda ran: ran.code == 0)
    if reloaded.code:
        raise CannotRun("systemd does not read its units again", reloaded.lines[-3:])


def _until(attempt: Callable[[], Ran], is_done: Callable[[Ran], bool]) -> Ran:
    """The first attempt that is done, or the last one that time is left for."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        ran = attempt()
        if is_done(ran) or time.monotonic() > deadline:
            return ran
        time.sleep(_PAUSE_S)
