"""`teal exec` on this side: standard input down, output up as it comes, both at once and both bounded.

The main thread receives; a second one reads standard input and sends as much of it as More has asked for, so the other
side can always read, and Enough never waits behind input that nobody takes.
"""

import contextlib
import os
import threading
from collections.abc import Callable

from teal.building.origin import origin
from teal.config.read import ConfigFile
from teal.ground.errors import CannotReach
from teal.pipe.open import open_session
from teal.pipe.session import PipeEnded, Session, expect
from teal_host.wire.messages import ALIVE_EVERY_S, ANSWERS, PIECE, Enough, Exec, Exited, Input, More, Output

Write = Callable[[str, bytes], None]
_SAYS_WITHIN_S = 1.0


def run_command(file: ConfigFile, command: tuple[str, ...], stdin: int | None, write: Write) -> Exited:
    """Run it and give how it ended. `write` is given each piece with its stream. Raises TealError.

    When it is interrupted, or nobody reads what is written, the other side is told to end the command.
    """
    with open_session(file.config.server.target) as session:
        feed = _Feed(session, stdin)
        try:
            session.send(Exec(file.config.app, command, origin()))
            return _until_exited(session, feed, write)
        except PipeEnded:
            raise CannotReach("contact lost: how the command ended is not known here") from None
        except (KeyboardInterrupt, BrokenPipeError):
            feed.say(Enough())
            session.leave()
            raise


def _until_exited(session: Session, feed: "_Feed", write: Write) -> Exited:
    while True:
        message, body = session.receive_with_body()
        if isinstance(message, Output):
            write(message.stream, body)
        elif isinstance(message, More):
            feed.allow(message.bytes)
        elif isinstance(message, ANSWERS):
            return expect(message, Exited)


class _Feed:
    """Sends standard input, as much as may be sent; without one, that there is none."""

    def __init__(self, session: Session, stdin: int | None) -> None:
        self._session, self._stdin = session, stdin
        self._speaks = threading.Lock()
        self._allowed = threading.Condition()
        self._over = threading.Event()
        self._bytes = 0
        self._thread: threading.Thread | None = None

    def allow(self, count: int) -> None:
        with self._allowed:
            self._bytes += count
            self._allowed.notify()
        if self._thread is None:  # the first More says that the command runs
            self._thread = threading.Thread(target=self._send_all, daemon=True)
            self._thread.start()
            threading.Thread(target=self._stay, daemon=True).start()

    def say(self, message: Enough) -> None:
        """From the main thread; not waited for when nobody over there reads."""
        self._over.set()
        if self._speaks.acquire(timeout=_SAYS_WITHIN_S):
            try:
                self._session.push(message)
            except OSError:
                pass  # it is over there already
            finally:
                self._speaks.release()

    def _send_all(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # over or closed: the main thread hears why
            while piece := self._read():
                self._send(Input(), piece)
            self._send(Input(last=True))

    def _stay(self) -> None:
        """Say now and then that somebody is here: the other side may not see the end of the pipe."""
        with contextlib.suppress(OSError, ValueError):
            while not self._over.wait(ALIVE_EVERY_S):
                self._send(Input())

    def _read(self) -> bytes:
        with self._allowed:
            self._allowed.wait_for(lambda: self._bytes > 0)
            most = min(self._bytes, PIECE)
        piece = os.read(self._stdin, most) if self._stdin is not None else b""
        with self._allowed:
            self._bytes -= len(piece)
        return piece

    def _send(self, message: Input, body: bytes = b"") -> None:
        with self._speaks:
            self._session.push(message, body)
