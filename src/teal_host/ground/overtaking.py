"""A rollback overtakes the command that holds the app's lock: that process gets a signal and gives way.

A command gives way in waits that change nothing, and in these alone: inside `possible`, and in the wait for another
lock by `up_to`. If the signal comes at another moment, the next such wait raises. SIGURG does nothing to a process that
does not expect it, for example to a Teal that cannot give way.
"""

import contextlib
import signal
from dataclasses import dataclass
from typing import Callable, Iterator

from teal_host.ground.errors import GaveWay
from teal_host.ground.journal import Journal, up_s
from teal_host.ground.run import send_signal_if

_SIGNAL = signal.SIGURG


@dataclass
class _ThisCommand:
    began_s: float = float("inf")  # on the clock of the journal's `up`
    is_asked: bool = False
    may_raise: bool = False


_THIS = _ThisCommand()


def listen() -> None:
    """From here on this process can be asked to give way."""
    _THIS.began_s, _THIS.is_asked = up_s(), False
    signal.signal(_SIGNAL, lambda number, frame: _on_signal())


@contextlib.contextmanager
def possible() -> Iterator[None]:
    """A wait that a rollback may end at any moment. Raises GaveWay."""
    _THIS.may_raise = True
    try:
        try:
            _raise_if_asked()
            yield
        finally:
            _THIS.may_raise = False
    finally:
        _THIS.may_raise = False  # again, because the signal may come just in the first of these


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Inside `possible`: what must not end half-way, for example a message. Raises GaveWay afterwards."""
    before, _THIS.may_raise = _THIS.may_raise, False
    try:
        yield
    finally:
        _THIS.may_raise = before
    if before:
        _raise_if_asked()


def up_to(seconds: float) -> Callable[[], float]:
    """For the wait for a lock: for so many seconds, and it raises GaveWay. What is done under that lock does not."""

    def within() -> float:
        with possible():
            return seconds

    return within


def is_asked() -> bool:
    """Does a rollback wait for this command? For waits that nothing may end half-way, which then get shorter."""
    return _THIS.is_asked


def check_not_overtaken(journal: Journal) -> None:
    """While the client built or waited for the lock, nobody could ask. Raises GaveWay if a rollback began meanwhile."""
    if journal.has_rollback_since(_THIS.began_s):
        raise GaveWay


def ask(pid: int, is_holder: Callable[[], bool]) -> None:
    """Ask the holder of the lock to give way. `is_holder` asks the kernel, so no stranger is signalled."""
    with contextlib.suppress(PermissionError):  # another user's command cannot be asked
        send_signal_if(pid, _SIGNAL, is_holder)


def _on_signal() -> None:
    _THIS.is_asked = True
    if _THIS.may_raise:
        _raise_if_asked()


def _raise_if_asked() -> None:
    if _THIS.is_asked:
        _THIS.may_raise = False  # once is enough: what follows is the clean-up
        raise GaveWay
