"""One open pipe to a server side: greet, send, receive, close."""

import contextlib
import dataclasses
import io
import select
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO, TypeVar, cast

from teal.ground import run
from teal.ground.errors import CannotReach, HostFailed
from teal.pipe import bootstrap, greeting
from teal.pipe.greeting import Ended
from teal.pipe.stderr_tee import StderrTee
from teal.transports import Transport, brought_by
from teal_host.wire import messages
from teal_host.wire.frames import PROTOCOL, Frame, FrameError, read_frame, write_frame
from teal_host.wire.messages import Enough, Failure, Greeting
from teal_host.wire.typed import Mistakes

_T = TypeVar("_T")
_GREETS_WITH = frozenset(("type", *(field.name for field in dataclasses.fields(Greeting))))
_EVIDENCE_LINES, _EVIDENCE_CHARS = 5, 200  # of what is wrong with a message; a server can make a million mistakes


class PipeEnded(Exception):
    """Nobody is at the other end any more."""


class Session:
    """Context manager; leaving it ends the process at this end of the pipe.

    Without `at_once` it only begins, and waits for the greeting when that is needed.
    """

    def __init__(self, transport: Transport, at_once: bool = True) -> None:
        self.bytes_sent = 0
        self._left = False
        self._over = True  # the other side waits for nothing: it has not greeted, or it has answered
        self._patience_s = 1.0  # nothing has begun over there before it greets
        self._transport = transport
        self._echo = StderrTee() if transport.way else None
        self._program = self._start(transport)
        self._outgoing = cast(BinaryIO, io.BufferedWriter(cast(io.FileIO, self._program.stdin)))
        self._raw = cast(io.FileIO, self._program.stdout)
        self._incoming = cast(BinaryIO, self._raw)  # without a buffer, so that `select` sees what has come
        self._there: Greeting | None = None
        if at_once:
            self.hear()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def there(self) -> Greeting:
        """Who is at the other end. Raises CannotReach when nobody greets."""
        return self._there or self.hear()

    def fileno(self) -> int:
        """Readable when the greeting comes, or the end."""
        return self._raw.fileno()

    def hear(self) -> Greeting:
        """Wait for the greeting. Raises CannotReach."""
        try:
            self._there = self._greet()
        except BaseException:
            self.close()
            raise
        return self._there

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
            raise not_trusted(self._transport.name, error) from None
        self._over = isinstance(message, messages.ANSWERS)
        if isinstance(message, Failure):
            raise HostFailed(message)
        return message, frame.body

    def says_something(self) -> bool:
        """Is there a message, or the end, that can be received without a wait?"""
        return bool(select.select([self._raw], [], [], 0)[0])

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
        if not self._over and not self._left:
            self._say_enough()
        run.close(self._outgoing)
        code = None if self._left else run.end(self._program, self._patience_s)
        run.close(self._raw)
        return code

    def _say_enough(self) -> None:
        """In words, because the end of the pipe may never be seen over there."""
        writable = select.select([], [self._outgoing], [], 0)[1]
        if writable:
            with contextlib.suppress(OSError, ValueError):
                write_frame(self._outgoing, messages.to_header(Enough()))

    def _last_words(self) -> None:
        """A side that refuses what we send has said why before it closed."""
        with contextlib.suppress(PipeEnded):
            while True:
                self.receive()

    def _start(self, transport: Transport) -> run.Program:
        argv = transport.argv(bootstrap.stage0(transport.server))
        try:
            if self._echo is None:
                return run.open_pipe(argv, transport.own_session)
            return run.open_pipe(argv, transport.own_session, self._echo.end)
        except OSError as error:
            raise CannotReach(f"cannot start {argv[0]}: {error.strerror}", hint=brought_by(argv[0])) from None
        finally:
            if self._echo is not None:
                self._echo.started()

    def _send_server_side(self) -> None:
        packed = bootstrap.payload()
        with contextlib.suppress(OSError):  # what comes, or does not come, tells what went wrong
            self._outgoing.write(packed)
            self._outgoing.flush()
            self.bytes_sent += len(packed)

    def _greet(self) -> Greeting:
        patience_s = self._transport.greets_within_s
        heard = greeting.listen(self._raw, self._send_server_side, patience_s)
        if not heard.greets:
            raise greeting.refusal(self._transport, heard, self._ended())
        if not select.select([self._raw], [], [], patience_s)[0]:
            raise greeting.refusal(self._transport, heard, self._ended())
        there = self._first_frame(heard)
        self._patience_s = run.ENDS_WITHIN_S
        self._over = False
        return there

    def _first_frame(self, heard: greeting.Heard) -> Greeting:
        """Read with care: another Teal may greet in another way, and noise may look like the word."""
        try:
            frame = read_frame(self._incoming)
            if frame is None or frame.header.get("type") != "greeting":
                raise FrameError("no greeting")
            if frame.header.get("protocol", PROTOCOL) != PROTOCOL:
                raise greeting.another_teal(self._transport.name)
            return self._decoded(frame)
        except (FrameError, OSError):
            raise greeting.refusal(self._transport, heard, self._ended()) from None

    def _decoded(self, frame: Frame) -> Greeting:
        """Other keys are another Teal's; of the keys that are known, a strange value is no Teal's at all."""
        try:
            return cast(Greeting, messages.from_frame(frame, (Greeting,)))
        except Mistakes as error:
            if frame.header.keys() != _GREETS_WITH:
                raise greeting.another_teal(self._transport.name) from None
            raise not_trusted(self._transport.name, error) from None

    def _ended(self) -> Ended:
        code = self.close()
        return Ended(code, self._echo.lines() if self._echo else ())


def expect(answer: object, kind: type[_T]) -> _T:
    """The answer, if it is of this kind. Raises CannotReach: a server can answer with anything."""
    if not isinstance(answer, kind):
        raise CannotReach(f"the server side answered with {type(answer).__name__}, which is not expected")
    return answer


def not_trusted(name: str, mistakes: Mistakes) -> CannotReach:
    """For values that no server side of Teal sends. Nothing was built, run or sent with them."""
    evidence = [f"{place[:100]}: {says[:_EVIDENCE_CHARS]}" for place, says in mistakes.found[:_EVIDENCE_LINES]]
    return CannotReach(
        f"{name} sent what no server side of Teal sends; its answer is not to be trusted",
        evidence,
        f"find out who else can log in to {name}, and whether it is the machine that you mean",
    )
