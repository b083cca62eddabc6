"""The machine itself: its clock and its Python."""

import platform
from typing import Iterator

from teal_host.checks.base import Visit, fault, ok, warning
from teal_host.ground.remedies import on_server
from teal_host.wire.reports import Finding

_OFF_S, _FAR_OFF_S = 30.0, 300.0


def check(visit: Visit) -> Iterator[Finding]:
    return on_any(visit.ahead_s)


def on_any(ahead_s: float) -> Iterator[Finding]:
    """Needs no knowledge of the app."""
    yield clock(ahead_s)
    yield ok("python", platform.python_version())


def clock(ahead_s: float) -> Finding:
    """`ahead_s`: how far the client's clock is ahead of this one."""
    off = abs(ahead_s)
    if off <= _OFF_S:
        return ok("clock", "this server's clock and yours agree")
    message = f"this server's clock is {_duration(off)} {'behind' if ahead_s > 0 else 'ahead of'} yours"
    judge = fault if off > _FAR_OFF_S else warning
    return judge("clock", f"{message}; one of them is wrong", on_server("timedatectl set-ntp true"))


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
