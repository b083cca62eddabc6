"""How the colors answer, from a log that nginx writes only while Teal watches: is the new color clearly worse?

A line is the address that nginx asked and the status that the visitor got, and nothing of who asked for what.
"""

import contextlib
import math
import os
import re
from collections import Counter
from pathlib import Path
from typing import Dict, Iterator

from teal_host.ground import files
from teal_host.state.app import App
from teal_host.wire.values import dataclass

ENOUGH = 20  # requests, before anything is said of a color
FEWEST_FAILED = 5
HALF = 0.5  # that is bad whatever was before, where too few were asked to know that
CLEARLY = 0.05  # so much larger is the share of failed requests, and at least twice as large
SURELY = 4.0  # standard deviations of what chance does; it is looked at again and again
_LONGEST_LOG = 1024 * 1024
_PIECE = 8 * 1024 * 1024  # of one look
_LINE = re.compile(rb":(\d+) (\d{3})$")


@dataclass(frozen=True)
class AnswerCounts:
    """Of one color: how many requests were answered, and how many of them with which status from 500 on."""

    asked: int
    failed: Dict[int, int]

    @property
    def share(self) -> float:
        return sum(self.failed.values()) / self.asked if self.asked else 0.0

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} with {status}" for status, count in sorted(self.failed.items()))
        return f"{sum(self.failed.values())} of {self.asked} failed" + (f" ({statuses})" if statuses else "")


def clearly_worse(new: AnswerCounts, old: AnswerCounts) -> bool:
    """Does the new color fail so much more often than the old one that it is not chance? Few requests prove nothing."""
    if new.asked < ENOUGH or sum(new.failed.values()) < FEWEST_FAILED:
        return False
    if old.asked < ENOUGH:
        return new.share >= HALF
    if new.share < max(old.share + CLEARLY, 2 * old.share):
        return False
    both = (sum(new.failed.values()) + sum(old.failed.values())) / (new.asked + old.asked)
    deviation = math.sqrt(both * (1 - both) * (1 / new.asked + 1 / old.asked))
    return new.share - old.share > SURELY * deviation


class AnswerLog:
    """What nginx has logged, by the port that it asked. The log is emptied as it is read, so it stays small."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._at = 0
        self._rest = b""
        self._seen: Dict[int, Counter[int]] = {}

    def read(self) -> None:
        """Count what has come since. Nothing, where nginx has no such log."""
        with contextlib.suppress(FileNotFoundError), self._log.open("rb") as file:
            file.seek(self._at)
            text = file.read(_PIECE)
            self._at += len(text)
            *whole, self._rest = (self._rest + text).split(b"\n")
            for line in whole:
                self._count(line)
            if self._at > _LONGEST_LOG and not file.read(1):
                files.empty(self._log)
                self._at = 0

    def of(self, port: int) -> AnswerCounts:
        statuses = self._seen.get(port, Counter())
        return AnswerCounts(sum(statuses.values()), {status: n for status, n in statuses.items() if status >= 500})

    def _count(self, line: bytes) -> None:
        """Where nginx asked several addresses one after the other, the last one answered. Other lines do not count."""
        match = _LINE.search(line)
        if match:
            self._seen.setdefault(int(match.group(1)), Counter())[int(match.group(2))] += 1


@contextlib.contextmanager
def counting(app: App, watch_s: float) -> Iterator[AnswerLog]:
    """If there will be a watch, nginx logs its answers while the block runs. If the log cannot be switched on, nothing
    is counted; no deploy fails for that.

    nginx tests for a link to this process, so when this process is killed, nginx stops logging.
    """
    log = app.host.proxy.log_of(app.name)
    if watch_s:
        with contextlib.suppress(OSError):
            files.empty(log)
            files.turn_link(app.paths.watched, f"/proc/{os.getpid()}/stat")
    try:
        yield AnswerLog(log)
    finally:
        with contextlib.suppress(OSError):
            stop_counting(app)


def stop_counting(app: App) -> None:
    files.remove(app.paths.watched)
