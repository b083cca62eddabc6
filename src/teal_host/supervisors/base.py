"""What every supervisor needs: how long a program has to end, and the words for how it ended."""

import contextlib
import signal

STOP_GRACE_S = 30.0  # between TERM and KILL, as in the systemd unit
BOOTED = "the machine was booted since"
HURRIED_GRACE_S = 1.0  # the same for a candidate that no visitor came to, where a rollback waits
START_FORMAT = 1  # of start.json, which the installed server side reads, maybe an older one than the one that writes it


def ended_by(number: int) -> str:
    """What is said of a program that a signal has ended."""
    with contextlib.suppress(ValueError):
        return f"it was ended by {signal.Signals(number).name}"
    return f"it was ended by signal {number}"
