"""A program's standard error: passed on to the terminal line by line, while the last lines are kept.

The exit code of ssh says that it failed; only its text says why, for example that a host key changed. So Teal reads the
text. Questions do not come this way: ssh asks them on /dev/tty. A note such as "touch your key" ssh writes only to a
terminal, so it gets a pseudo-terminal where the client's own standard error is a terminal.
A server, and anybody between, can write what ssh passes on, so each line is shown as every other word of the server.
"""

import collections
import contextlib
import os
import select
import sys
import threading
import tty

from teal.ui.base import shown

_LINES, _LONGEST = 50, 16 * 1024  # bytes of a line
_WHOLE_WITHIN_S = 0.2  # a line; what comes later begins a new one, so that no two halves make a word
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
            while piece := os.read(self._source, _LONGEST):
                *whole, rest = (rest + piece).split(b"\n")
                self._show(whole)
                late = rest and not select.select([self._source], [], [], _WHOLE_WITHIN_S)[0]
                if late or len(rest) > _LONGEST:
                    self._show([rest])
                    rest = b""
        if rest.strip():
            self._show([rest])
        os.close(self._source)

    def _show(self, lines: "list[bytes]") -> None:
        texts = [line.replace(b"\r", b"").decode(errors="replace") for line in lines]
        self._last.extend(text.strip() for text in texts if text.strip())
        with contextlib.suppress(OSError):  # nobody reads standard error any more; ssh may still go on
            os.write(2, "".join(f"{shown(text)}\n" for text in texts).encode(errors="replace"))


def _terminal() -> tuple[int, int]:
    """A pseudo-terminal that changes no byte."""
    source, end = os.openpty()
    tty.setraw(end)
    return source, end
