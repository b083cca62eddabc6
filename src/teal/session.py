"""One open pipe to a server side: greet, send, receive, close."""

import contextlib
import io
import select
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO, cast

from teal import bootstrap, programs
from teal.errors import CannotReach, HostFailed
from teal.transports import Transport
from teal_host.wire import messages
from teal_host.wire.frames import FrameError, read_frame, write_frame
from teal_host.wire.messages import Failure, Greeting
from teal_host.wire.typed import Mistakes

SYNC = b"\nTEAL-HOST-1\n"
_TOO_OLD = b"\nTEAL-HOST-TOO-OLD "
_NOISE_LIMIT = 64 * 1024  # bytes that login scripts may say before the greeting
_GREETS_WITHIN_S = 60.0


class PipeEnded(Exception):
    """Nobody is at the other end any more."""


class Session:
    """Context manager; leaving it ends the process at this end of the pipe."""

    def __init__(self, transport: Transport) -> None:
        packed = bootstrap.payload()
        argv = [*transport.python, "-c", bootstrap.stage0(len(packed)), *transport.arguments]
        self.bytes_sent = 0
        self._left = False
        self._patience_s = 1.0  # nothing has begun over there before it greets
        self._name = transport.name
        try:
            self._program = programs.open_pipe(argv, transport.own_session)
        except OSError as error:
            raise CannotReach(f"cannot start {argv[0]}: {error.strerror}") from None
        self._outgoing = cast(BinaryIO, io.BufferedWriter(cast(io.FileIO, self._program.stdin)))
        self._raw = cast(io.FileIO, self._program.stdout)
        self._bootstrap(packed)
        self.there: Greeting = self._greet()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def send(self, message: Any, body: bytes = b"") -> None:
        """Raises PipeEnded, unless the other side said first why it goes away."""
        try:
            self.push(message, body)
        except OSError:
            self._last_words()
            raise PipeEnded from None

    def push(self, message: Any, body: bytes = b"") -> None:
        """As `send`, beside a thread that receives: that one hears why. Raises OSError."""
        self.bytes_sent += write_frame(self._outgoing, messages.to_header(message), body)

    def receive(self) -> Any:
        """The next event or answer. Raises HostFailed for a Failure, PipeEnded at the end."""
        return self.receive_with_body()[0]

    def receive_with_body(self) -> tuple[Any, bytes]:
        """The same, and the bytes that came with it."""
        try:
            frame = read_frame(self._incoming)
            if frame is None:
                raise PipeEnded
            message = messages.from_frame(frame, messages.EVENTS + messages.ANSWERS)
        except (FrameError, OSError):
            raise PipeEnded from None
        except Mistakes as error:
            raise CannotReach(f"{self._name} says something that cannot be understood: {error}") from None
        if isinstance(message, Failure):
            raise HostFailed(message)
        return message, frame.body

    def events(self) -> Iterator[Any]:
        """Every message up to and with the answer."""
        while True:
            message = self.receive()
            yield message
            if isinstance(message, messages.ANSWERS):
                return

    def leave(self) -> None:
        """Go, and let the other side finish: from its commit on it must not be ended from here."""
        self._left = True

    def close(self) -> int | None:
        """Gives the exit code of the process at this end, if it was waited for."""
        programs.close(self._outgoing)
        code = None if self._left else programs.end(self._program, self._patience_s)
        programs.close(self._raw)
        return code

    def _last_words(self) -> None:
        """A side that refuses what we send has said why before it closed."""
        with contextlib.suppress(PipeEnded):
            while True:
                self.receive()

    def _bootstrap(self, packed: bytes) -> None:
        with contextlib.suppress(OSError):  # the greeting tells what went wrong
            self._outgoing.write(packed)
            self._outgoing.flush()
            self.bytes_sent += len(packed)

    def _greet(self) -> Greeting:
        try:
            noise = self._read_until(SYNC)
            self._incoming = cast(BinaryIO, io.BufferedReader(self._raw))
            says_more = noise is not None and select.select([self._raw], [], [], _GREETS_WITHIN_S)[0]
            greeting = self.receive() if says_more else None
        except (PipeEnded, HostFailed, CannotReach):
            greeting = None
        if not isinstance(greeting, Greeting):
            raise CannotReach(f"the server side did not start on {self._name}", self._heard, _hint(self.close()))
        self._patience_s = programs.ENDS_WITHIN_S
        return greeting

    def _read_until(self, word: bytes) -> bytes | None:
        """What was said before the word; None when it never came."""
        said = b""
        deadline = time.monotonic() + _GREETS_WITHIN_S
        while not said.endswith(word) and len(said) < _NOISE_LIMIT and time.monotonic() < deadline:
            if not select.select([self._raw], [], [], 0.5)[0]:
                continue
            byte = self._raw.read(1)
            if not byte:
                break
            said += byte
        self._heard = _lines(said)
        return said if said.endswith(word) else None


def _hint(code: int | None) -> str:
    """What the exit code tells: 127 is a shell's word for a program that is not there."""
    return "is there a python3 over there? apt install python3" if code == 127 else ""


def _lines(said: bytes) -> list[str]:
    """What a person may learn from it."""
    if _TOO_OLD in said:
        version = said.split(_TOO_OLD)[1].decode(errors="replace").strip()
        return [f"its Python is {version}; Teal needs 3.9 or newer there"]
    return [line for line in said.decode(errors="replace").splitlines() if line.strip()][-10:]
