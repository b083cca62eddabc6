"""How the colors answer, from a log that nginx writes only while Teal follows it.

A line is who asked, the address that nginx asked, and the status that the visitor got; nothing of what was asked for.
Who asked is counted and shown to nobody. The log is its owner's alone, is emptied as it is read, and again at the end.
"""

import contextlib
import datetime
import os
import re
import threading
import time
from collections import Counter
from pathlib import Path
from typing import BinaryIO, Dict, Iterator, Optional, Sequence

from teal_host.ground import files, run
from teal_host.ground.errors import DAMAGED
from teal_host.proxies.upstream import Upstream
from teal_host.state.answers import AnswerCounts, Answered, client_of
from teal_host.state.app import App
from teal_host.state.seams import FALLBACK_LINE
from teal_host.wire.reports import Color, FallbackReport
from teal_host.wire.upward import moment

PERIOD_S = 10  # nginx looks for a file that is named after the current ten seconds
_LOOK_S = 1.0
_LONGEST_LOG = 1024 * 1024
_PIECE = 8 * 1024 * 1024  # of one look
_MOST_CLIENTS = 10_000  # of a color; whoever comes later counts in the sums alone
# Teal's own requests have an address before the bar. A site's file that an earlier Teal wrote logs no client.
_LINE = re.compile(rb"^(?:\|(\S+) )?(?:[^|]* )?([^| ]{0,150}:[^| ]{1,150}) ([0-9]{3})$")
# nginx also writes ` : ` where the answer itself, or an error page, has led to another upstream.
_PASSED_ON = re.compile(rb"([^ |]{0,150}:[^ |]{1,150}) : ([^ |,]{0,150}:[^ |,]{1,150})[, ]")


class _Color:
    """What was logged of the requests to one color."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.clients: Dict[bytes, Answered] = {}

    def count(self, client: bytes, status: int) -> None:
        self.statuses[status] += 1
        if client in self.clients or len(self.clients) < _MOST_CLIENTS:
            asked, failed = self.clients.get(client, Answered())
            self.clients[client] = Answered(asked + 1, failed + (status >= 500))

    def counts(self) -> AnswerCounts:
        failed = {status: count for status, count in self.statuses.items() if status >= 500}
        return AnswerCounts(sum(self.statuses.values()), failed, dict(self.clients))


class AnswerLog:
    """What nginx has logged, by the address that it asked. Two threads read it; it is emptied as it is read."""

    def __init__(self, log: Path, upstreams: Sequence[Upstream]) -> None:
        self._log = log
        self._upstreams = upstreams
        self._at = 0
        self._rest = b""
        self._seen: Dict[str, _Color] = {}
        self._reading = threading.Lock()

    def read(self) -> None:
        """Count what has come since. Nothing, where nginx has no such log, or the disk gives an error for it."""
        with self._reading, contextlib.suppress(OSError), self._log.open("rb") as file:
            file.seek(self._at)
            text = file.read(_PIECE)
            self._at += len(text)
            *whole, self._rest = (self._rest + text).split(b"\n")
            for line in whole:
                self._count(line)
            if self._at > _LONGEST_LOG and not file.read(1):
                files.empty(self._log)
                self._at = 0

    def of(self, color: Upstream) -> AnswerCounts:
        with self._reading:
            return next((seen for name, seen in self._seen.items() if color.is_named(name)), _Color()).counts()

    def _count(self, line: bytes) -> None:
        """Where nginx asked several addresses one after the other, the last one answered. Other lines do not count.

        If the other color stands behind ` : `, that one stood in, because the color before it had failed.
        """
        passed_on = _PASSED_ON.search(line)
        stood_in = passed_on and self._are_the_colors(*map(_text, passed_on.groups()))
        match = _LINE.match(line.partition(b" : ")[0] + b" 502" if stood_in else line)
        if match:
            client, address, status = match.groups()
            seen = self._seen.setdefault(_text(address), _Color())
            seen.count(client_of(client or b""), int(status))

    def _are_the_colors(self, first: str, second: str) -> bool:
        named = [[color.is_named(address) for color in self._upstreams] for address in (first, second)]
        return all(map(any, named)) and named[0] != named[1]


def _text(address: bytes) -> str:
    return address.decode(errors="replace")


def fallback_report(color: Optional[Color], log: Path) -> FallbackReport:
    """What nginx has logged of the requests that another color answered. All lines are equally long. A switch may just
    empty the log.
    """
    try:
        with log.open("rb") as file:
            count = file.seek(0, os.SEEK_END) // FALLBACK_LINE
            times = [_time_of(file, line) for line in (0, count - 1)] if count else [None, None]
    except (*DAMAGED, IndexError):
        return FallbackReport(color)
    return FallbackReport(color, count, *times)


def _time_of(file: BinaryIO, line: int) -> str:
    file.seek(line * FALLBACK_LINE)
    seconds = float(file.read(FALLBACK_LINE).split()[0])
    at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec="seconds")
    if moment(at):
        raise ValueError(at)
    return at


@contextlib.contextmanager
def counting(app: App, upstreams: Sequence[Upstream], watch_s: float) -> Iterator[AnswerLog]:
    """If there will be a watch, nginx logs its answers while the block runs. If the log cannot be switched on, nothing
    is counted; no deploy fails for that.
    """
    log = AnswerLog(app.host.proxy.log_of(app.name), upstreams)
    if not watch_s:
        yield log
        return
    ended = threading.Event()
    follower = threading.Thread(target=_follow, args=(app, log, ended), daemon=True)
    run.start_thread(follower)
    with contextlib.suppress(OSError):
        stop_counting(app)
        _let_nginx_log(app)
    try:
        yield log
    finally:
        ended.set()
        follower.join()
        with contextlib.suppress(OSError):
            stop_counting(app)


def stop_counting(app: App) -> None:
    """nginx may still write what it has buffered for half a second; the next command removes that."""
    for mark in app.paths.home.glob(f"{app.paths.watched.name}*"):
        files.drop(mark)
    with contextlib.suppress(OSError):
        files.empty(app.host.proxy.log_of(app.name))


def _follow(app: App, log: AnswerLog, ended: threading.Event) -> None:
    while not ended.wait(_LOOK_S):
        with contextlib.suppress(OSError):
            _let_nginx_log(app)
            log.read()


def _let_nginx_log(app: App) -> None:
    """In these ten seconds and the next ones. So nginx stops soon after this process has ended, however it ended. A
    process number would be somebody else's one day, and nginx's workers may see no process of root (hidepid).
    """
    now = int(time.time()) // PERIOD_S
    marks = {app.paths.watched.with_name(f"{app.paths.watched.name}-{period}") for period in (now, now + 1)}
    for mark in marks:
        files.mark(mark)
    for old in set(app.paths.home.glob(f"{app.paths.watched.name}-*")) - marks:
        files.drop(old)
