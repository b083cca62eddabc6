"""The story of exec on the client: standard input goes down and output comes up at the same time, both bounded.

The main thread receives. A second thread reads standard input and sends only as much as `More` has asked for. So the
server side can always read, and `Enough` never waits behind input that the command does not take.
"""

import contextlib
import os
import threading
from collections.abc import Callable

from teal.building.origin import origin
from teal.config.read import ConfigFile
from teal.ground.errors import ContactLost, StrangeAnswer
from teal.pipe.open import open_session
from teal.pipe.session import PipeEnded, Session, expect
from teal_host.wire.messages import ALIVE_EVERY_S, ANSWERS, PIECE, Exited, More, Output
from teal_host.wire.requests import Enough, Exec, Input

Write = Callable[[str, bytes], None]
_ENOUGH_WITHIN_S = 1.0
_UNKNOWN = "the outcome of the command is not known here"


def run_command(file: ConfigFile, command: tuple[str, ...], stdin: int | None, write: Write) -> Exited:
    """Run the command and return how it ended. `write` gets each piece of output with its stream. Raises TealError.

    When the user interrupts it, or nobody reads the output any more, the server side ends the command.
    """
    with open_session(file.config.server.target) as session:
        feed = _Feed(session, stdin)
        try:
            session.send(Exec(file.config.app, command, origin()))
            return _until_exited(session, feed, write)
        except PipeEnded:
            raise ContactLost(f"contact lost: {_UNKNOWN}") from None
        except StrangeAnswer as error:
            raise error.lost(_UNKNOWN, "teal logs may show it") from None
        except (KeyboardInterrupt, BrokenPipeError):
            feed.finish()
            session.detach()
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
    """Sends standard input, as much as is allowed; without a descriptor, only its end."""

    def __init__(self, session: Session, stdin: int | None) -> None:
        self._session, self._stdin = session, stdin
        self._writing = threading.Lock()
        self._allowed = threading.Condition()
        self._over = threading.Event()
        self._bytes = 0
        self._thread: threading.Thread | None = None

    def allow(self, count: int) -> None:
        with self._allowed:
            self._bytes += count
            self._allowed.notify()
        if self._thread is None:  # the first More means that the command runs
            self._thread = threading.Thread(target=self._send_all, daemon=True)
            self._thread.start()
            threading.Thread(target=self._keep_alive, daemon=True).start()

    def finish(self) -> None:
        """Send Enough, from the main thread. It gives up after a second when the server side does not read."""
        self._over.set()
        if self._writing.acquire(timeout=_ENOUGH_WITHIN_S):
            try:
                self._session.write(Enough())
            except OSError:
                pass  # the server side is gone already
            finally:
                self._writing.release()

    def _send_all(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # ended or closed: the main thread learns why
            while piece := self._read():
                self._send(Input(), piece)
            self._send(Input(last=True))

    def _keep_alive(self) -> None:
        """Send empty input now and then: the server side cannot rely on end-of-file to miss the client."""
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
        with self._writing:
            self._session.write(message, body)
