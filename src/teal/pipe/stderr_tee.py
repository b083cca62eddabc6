"""A program's standard error: it reaches the terminal as it comes, and its last lines are remembered.

ssh tells by its exit code that it failed, and only in words why: a host key that changed, a name that is not known. So
its words are listened to. Its questions do not come this way: it asks them on /dev/tty. A note such as "touch your key"
it writes only when its standard error is a terminal, so where ours is one, it gets one.
"""

import collections
import contextlib
import os
import sys
import threading
import tty

_LINES = 50
_REST_WITHIN_S = 0.5  # what a background ssh (ControlPersist) holds open is not waited for


class StderrTee:
    """`end` is what the program gets as its standard error; `started` once it has it."""

    def __init__(self) -> None:
        self._ours, self.end = _terminal() if sys.stderr.isatty() else os.pipe()
        self._last: collections.deque[str] = collections.deque(maxlen=_LINES)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def started(self) -> None:
        os.close(self.end)
        self._thread.start()

    def lines(self) -> list[str]:
        """The last ones, once the program has ended."""
        self._thread.join(_REST_WITHIN_S)
        return list(self._last)

    def _listen(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):  # the end of a terminal is an error
            while piece := os.read(self._ours, 64 * 1024):
                os.write(2, piece)
                *whole, rest = (rest + piece).split(b"\n")
                self._last.extend(line.decode(errors="replace").strip() for line in whole if line.strip())
        if rest.strip():
            self._last.append(rest.decode(errors="replace").strip())
        os.close(self._ours)


def _terminal() -> tuple[int, int]:
    """One that changes no byte on its way."""
    ours, end = os.openpty()
    tty.setraw(end)
    return ours, end
