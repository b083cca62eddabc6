"""A program's standard error: passed on to the terminal at once, while the last lines are kept.

The exit code of ssh says that it failed; only its text says why, for example that a host key changed. So Teal reads the
text. Questions do not come this way: ssh asks them on /dev/tty. A note such as "touch your key" ssh writes only to a
terminal, so it gets a pseudo-terminal where the client's own standard error is a terminal.
"""

import collections
import contextlib
import os
import sys
import threading
import tty

_LINES = 50
_REST_WITHIN_S = 0.5  # a background ssh (ControlPersist) keeps standard error open; nobody waits for that


class StderrTee:
    """`end` is the standard error of the program. Call `started` as soon as the program has it."""

    def __init__(self) -> None:
        self._source, self.end = _terminal() if sys.stderr.isatty() else os.pipe()
        self._last: collections.deque[str] = collections.deque(maxlen=_LINES)
        self._thread = threading.Thread(target=self._pass_on, daemon=True)

    def started(self) -> None:
        os.close(self.end)
        self._thread.start()

    def lines(self) -> list[str]:
        """The last lines, after the program has ended."""
        self._thread.join(_REST_WITHIN_S)
        return list(self._last)

    def _pass_on(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):  # the end of a pseudo-terminal is an error
            while piece := os.read(self._source, 64 * 1024):
                os.write(2, piece)
                *whole, rest = (rest + piece).split(b"\n")
                self._last.extend(line.decode(errors="replace").strip() for line in whole if line.strip())
        if rest.strip():
            self._last.append(rest.decode(errors="replace").strip())
        os.close(self._source)


def _terminal() -> tuple[int, int]:
    """A pseudo-terminal that changes no byte."""
    source, end = os.openpty()
    tty.setraw(end)
    return source, end
