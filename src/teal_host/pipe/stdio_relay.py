"""Carries bytes between the client and one command, both ways at once, and never holds more than a window of them.

This thread tells: what the command writes goes up as it comes, and a client that reads slowly slows the command down.
A second one listens: it hears at any time that the client has enough, or is gone, or has said nothing for too long (the
end of a pipe may never be seen), and then ends the command.
"""

import contextlib
import os
import selectors
import threading
from typing import Union

from teal_host.ground import run
from teal_host.ground.errors import HostError
from teal_host.ground.run import Piped
from teal_host.pipe.channel import Channel
from teal_host.wire.messages import GONE_AFTER_S, PIECE, WINDOW, More, Output
from teal_host.wire.requests import Enough, Input

_GRACE_S = 5.0  # between TERM and KILL
_SILENCE_S = 0.5  # of what outlived the command and still holds its output
_LEFT_BEHIND = 1024 * 1024  # bytes that a pipe can hold at most: all that the command itself can have left in it


def relay(channel: Channel, child: Piped) -> int:
    """Until the command has ended and what it wrote is told. Gives its exit code; nothing of its group is left."""
    heard = _Heard(channel, child)
    try:
        channel.tell(More(WINDOW))
        run.start_thread(heard)
        pump = _Pump(channel, child, heard)
        pump.while_it_runs()
        pump.what_it_left()
    finally:
        code = child.end(_GRACE_S)
    return code if code >= 0 else 128 - code


class _Heard(threading.Thread):
    """What the client says while the command runs. `bell` becomes readable when there is something."""

    def __init__(self, channel: Channel, child: Piped) -> None:
        super().__init__(daemon=True)  # nothing more needs to be heard once the command has ended
        self._talk, self._child = channel, child
        self._lock = threading.Lock()
        self._waiting = b""
        self._last = False
        self.bell, self._rope = os.pipe()

    def run(self) -> None:
        with contextlib.suppress(HostError):  # gone, or nothing that can be understood
            while self._take_in(*self._talk.receive_with_body(Input, Enough, within_s=GONE_AFTER_S)):
                os.write(self._rope, b"!")
        self._child.end(_GRACE_S)

    def waiting(self) -> bytes:
        """What is to be written next."""
        with self._lock:
            return self._waiting

    def written(self, count: int) -> bool:
        """So much of it is gone. Was it the last?"""
        with self._lock:
            self._waiting = self._waiting[count:]
            return self._last and not self._waiting

    def _take_in(self, message: Union[Input, Enough], body: bytes) -> bool:
        """Does it go on? Not with a client that sends more than it was asked for."""
        if isinstance(message, Enough) or (self._last and body):
            return False
        with self._lock:
            self._waiting += body
            self._last = self._last or message.last
            return len(self._waiting) <= WINDOW


class _Pump:
    def __init__(self, channel: Channel, child: Piped, heard: _Heard) -> None:
        self._talk, self._child, self._heard = channel, child, heard
        self._chosen = selectors.DefaultSelector()
        for descriptor in (child.stdout, child.stderr, child.pidfd, heard.bell):
            self._chosen.register(descriptor, selectors.EVENT_READ)
        self._feeds = False  # is it waited until the command takes more input?
        self._fed = False  # has it got its last?
        self._told = 0

    def while_it_runs(self) -> None:
        ended = False
        while not ended:
            for key, _ in self._chosen.select():
                if key.fd == self._child.pidfd:
                    ended = True
                elif key.fd in (self._child.stdout, self._child.stderr):
                    self._tell(key.fd)
                else:
                    self._hand_on(rung=key.fd == self._heard.bell)

    def what_it_left(self) -> None:
        """Its last words; what it left running is not waited for."""
        for descriptor in (self._child.pidfd, self._heard.bell, *([self._child.stdin] if self._feeds else [])):
            self._chosen.unregister(descriptor)
        self._told = 0
        while self._chosen.get_map() and self._told < 2 * _LEFT_BEHIND:
            ready = self._chosen.select(_SILENCE_S)
            if not ready:
                return
            for key, _ in ready:
                self._tell(key.fd)

    def _tell(self, descriptor: int) -> None:
        piece = os.read(descriptor, PIECE)
        if not piece:
            self._chosen.unregister(descriptor)
            return
        self._told += len(piece)
        self._talk.tell(Output("stdout" if descriptor == self._child.stdout else "stderr"), piece)
        if self._talk.alone:
            self._child.end(_GRACE_S)

    def _hand_on(self, rung: bool) -> None:
        """Give the command of its input what it takes now, and ask the client for as much again."""
        if rung:
            os.read(self._heard.bell, PIECE)
        if self._fed:
            return
        waiting = self._heard.waiting()
        try:
            count = os.write(self._child.stdin, waiting) if waiting else 0
        except BlockingIOError:
            count = 0
        except OSError:  # it reads no more: nothing more is asked for
            self._wait_to_feed(False)
            return
        last = self._heard.written(count)  # before more is asked for, so that what waits is never more than a window
        if count:
            self._talk.tell(More(count))
        self._wait_to_feed(not last and len(waiting) > count)
        if last:
            self._fed = True
            self._child.close_stdin()

    def _wait_to_feed(self, wanted: bool) -> None:
        if wanted and not self._feeds:
            self._chosen.register(self._child.stdin, selectors.EVENT_WRITE)
        elif self._feeds and not wanted:
            self._chosen.unregister(self._child.stdin)
        self._feeds = wanted
