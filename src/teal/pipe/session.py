"""One open pipe to a server side: greet, send, receive, close."""

import contextlib
import dataclasses
import io
import select
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO, TypeVar, cast

from teal.ground import run
from teal.ground.errors import CannotReach, HostFailed, StrangeAnswer
from teal.pipe import bootstrap
from teal.pipe.greeting import Preamble, TransportExit, explain_silence, other_version, read_preamble
from teal.pipe.stderr_tee import StderrTee
from teal.transports import Transport, install_hint
from teal_host.wire import messages
from teal_host.wire.frames import PROTOCOL, Frame, FrameError, read_frame, write_frame
from teal_host.wire.messages import Failure, Greeting
from teal_host.wire.requests import Enough
from teal_host.wire.typed import Mistake, Mistakes
from teal_host.wire.uploads import Taken

_T = TypeVar("_T")
_GREETS_WITH = frozenset(("type", *(field.name for field in dataclasses.fields(Greeting))))
_EVIDENCE_LINES, _EVIDENCE_CHARS = 5, 200  # of what is wrong with a message
WHOLE_WITHIN_S, _LEAST_RATE = 120.0, 1000  # a message that has begun; bytes a second, which give a long one more time
_PIECE = 256 * 1024  # bytes of one read
_STREAMED = (messages.LogLine, messages.Output, messages.More, Taken)  # nothing of them is remembered
MOST_EVENTS = 100_000  # steps and notes of one command; a deploy has some dozens, and one for each second that it waits


class PipeEnded(Exception):
    """The server side has closed the pipe."""


class _Steady:
    """Reads without a buffer, so that `select` sees what has come. A message may be long in coming; one that has begun
    comes to its end, or the server side counts as gone.
    """

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        self._came, self._began = 0, 0.0

    def next_message(self) -> "_Steady":
        self._came = 0
        return self

    def read(self, size: int) -> bytes:
        """Raises FrameError for a message that stops half-way."""
        if self._came:
            until = self._began + WHOLE_WITHIN_S + self._came / _LEAST_RATE
            remaining_s = min(WHOLE_WITHIN_S, until - time.monotonic())
            if not select.select([self._raw], [], [], max(0.0, remaining_s))[0]:
                raise FrameError("the message stops half-way")
        piece = self._raw.read(min(size, _PIECE)) or b""
        self._began = self._began if self._came else time.monotonic()
        self._came += len(piece)
        return piece


class Session:
    """A context manager that ends the transport's program at its end.

    With `wait` it waits for the greeting at once; without, the first use of `greeting` waits.
    """

    def __init__(self, transport: Transport, wait: bool = True) -> None:
        self.bytes_sent = 0
        self._detached = False
        self._finished = True  # the server side expects nothing: it has not greeted yet, or has answered
        self._patience_s = 1.0  # before the greeting the server side has begun nothing
        self._transport = transport
        self._stderr = StderrTee() if transport.way else None
        self._program = self._start(transport)
        self._outgoing = cast(BinaryIO, io.BufferedWriter(cast(io.FileIO, self._program.stdin)))
        self._raw = cast(io.FileIO, self._program.stdout)
        self._incoming = _Steady(self._raw)
        self._events = 0
        self._greeting: Greeting | None = None
        if wait:
            self.wait_for_greeting()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def greeting(self) -> Greeting:
        """What the server side says of its machine. Raises CannotReach when no greeting comes."""
        return self._greeting or self.wait_for_greeting()

    def fileno(self) -> int:
        """For `select`: readable when a message or the end of the pipe has arrived."""
        return self._raw.fileno()

    def wait_for_greeting(self) -> Greeting:
        """Wait for the greeting. Raises CannotReach."""
        try:
            self._greeting = self._greet()
        except BaseException:
            self.close()
            raise
        return self._greeting

    def send(self, message: Any, body: bytes = b"") -> None:
        """Raises PipeEnded; or HostFailed, if the server side reported a failure before it closed the pipe."""
        try:
            self.write(message, body)
        except OSError:
            self._receive_failure()
            raise PipeEnded from None

    def write(self, message: Any, body: bytes = b"") -> None:
        """As `send`, for use beside a thread that receives the Failure. Raises OSError."""
        self.bytes_sent += write_frame(self._outgoing, messages.to_header(message), body)

    def receive(self) -> Any:
        """The next event or answer. Raises HostFailed for a Failure, PipeEnded at the end."""
        return self.receive_with_body()[0]

    def receive_with_body(self) -> tuple[Any, bytes]:
        """As `receive`, with the bytes that came with the message."""
        try:
            frame = read_frame(self._incoming.next_message())
            if frame is None:
                raise PipeEnded
            message = messages.from_frame(frame, messages.EVENTS + messages.ANSWERS)
        except (FrameError, OSError):
            raise PipeEnded from None
        except Mistakes as error:
            raise not_trusted(self._transport.name, error) from None
        self._check_number(message)
        self._finished = isinstance(message, messages.ANSWERS)
        if isinstance(message, Failure):
            raise HostFailed(message)
        return message, frame.body

    def _check_number(self, message: object) -> None:
        """What is remembered of an event takes memory. Raises StrangeAnswer for a server that never comes to an end."""
        self._events += not isinstance(message, _STREAMED)
        if self._events > MOST_EVENTS:
            raise not_trusted(self._transport.name, Mistakes([Mistake("messages", f"are more than {MOST_EVENTS:,}")]))

    def is_readable(self) -> bool:
        """Can a message, or the end of the pipe, be received without waiting?"""
        return bool(select.select([self._raw], [], [], 0)[0])

    def events(self) -> Iterator[Any]:
        """Every message up to the answer, and the answer."""
        while True:
            message = self.receive()
            yield message
            if isinstance(message, messages.ANSWERS):
                return

    def detach(self) -> None:
        """Let the server side finish alone: after commit, closing this session must not end it."""
        self._detached = True

    def close(self) -> int | None:
        """Returns the exit code of the transport's program, unless the session is detached."""
        if not self._finished and not self._detached:
            self._send_enough()
        run.close(self._outgoing)
        code = None if self._detached else run.end(self._program, self._patience_s)
        run.close(self._raw)
        return code

    def _send_enough(self) -> None:
        """multipass swallows end-of-file, so the client says with a message that it is done."""
        writable = select.select([], [self._outgoing], [], 0)[1]
        if writable:
            with contextlib.suppress(OSError, ValueError):
                write_frame(self._outgoing, messages.to_header(Enough()))

    def _receive_failure(self) -> None:
        """A server side that rejects a message sends a Failure before it closes the pipe."""
        with contextlib.suppress(PipeEnded):
            while True:
                self.receive()

    def _start(self, transport: Transport) -> run.Program:
        argv = transport.argv(bootstrap.stage0(transport.server))
        try:
            if self._stderr is None:
                return run.open_pipe(argv, transport.own_session)
            return run.open_pipe(argv, transport.own_session, self._stderr.end)
        except OSError as error:
            raise CannotReach(f"cannot start {argv[0]}: {error.strerror}", hint=install_hint(argv[0])) from None
        finally:
            if self._stderr is not None:
                self._stderr.started()

    def _send_server_side(self) -> None:
        packed = bootstrap.payload(self._transport.server)
        with contextlib.suppress(OSError):  # if this fails, the missing greeting explains why
            self._outgoing.write(packed)
            self._outgoing.flush()
            self.bytes_sent += len(packed)

    def _greet(self) -> Greeting:
        patience_s = self._transport.greets_within_s
        preamble = read_preamble(self._raw, self._send_server_side, patience_s)
        if not preamble.greets:
            raise explain_silence(self._transport, preamble, self._exit())
        if not select.select([self._raw], [], [], patience_s)[0]:
            raise explain_silence(self._transport, preamble, self._exit())
        message = self._first_frame(preamble)
        self._patience_s = run.ENDS_WITHIN_S
        self._finished = False
        return message

    def _first_frame(self, preamble: Preamble) -> Greeting:
        """Another version of Teal may greet in another way, and noise of a login script may look like the last line."""
        try:
            frame = read_frame(self._incoming.next_message())
            if frame is None or frame.header.get("type") != "greeting":
                raise FrameError("no greeting")
            if frame.header.get("protocol", PROTOCOL) != PROTOCOL:
                raise other_version(self._transport.name)
            return self._decoded(frame)
        except (FrameError, OSError):
            raise explain_silence(self._transport, preamble, self._exit()) from None

    def _decoded(self, frame: Frame) -> Greeting:
        """Other keys mean another version of Teal. A strange value of a known key means that Teal did not send it."""
        try:
            return cast(Greeting, messages.from_frame(frame, (Greeting,)))
        except Mistakes as error:
            if frame.header.keys() != _GREETS_WITH:
                raise other_version(self._transport.name) from None
            raise not_trusted(self._transport.name, error) from None

    def _exit(self) -> TransportExit:
        code = self.close()
        return TransportExit(code, self._stderr.lines() if self._stderr else ())


def expect(answer: object, kind: type[_T]) -> _T:
    """The answer, if it is of this kind. Raises StrangeAnswer: a server can answer with anything."""
    if not isinstance(answer, kind):
        raise StrangeAnswer(f"the server side answered with {type(answer).__name__}, which is not expected")
    return answer


def not_trusted(name: str, mistakes: Mistakes) -> StrangeAnswer:
    """The error for values that no server side of Teal sends. They were used for nothing."""
    evidence = [f"{place[:100]}: {text[:_EVIDENCE_CHARS]}" for place, text in mistakes.mistakes[:_EVIDENCE_LINES]]
    return StrangeAnswer(
        f"{name} sent what no server side of Teal sends; its answer is not to be trusted",
        evidence,
        f"find out who else can log in to {name}, and whether it is the machine that you mean",
    )
