"""This side of the conversation: what comes in is typed and expected, what goes out may find nobody listening.

Until the client has said commit, its going away is an abort. Afterwards nobody needs to listen: the work is finished.
"""

import contextlib
import os
import select
import time
from typing import Any, BinaryIO, Iterator, Tuple, Type

from teal_host.ground import overtaking
from teal_host.ground.errors import BadRequest, Cancelled
from teal_host.wire.frames import FrameError, encode_frame, read_frame
from teal_host.wire.messages import from_frame, to_header
from teal_host.wire.requests import Commit, Enough
from teal_host.wire.typed import Mistakes
from teal_host.wire.uploads import Block, Part, Taken
from teal_host.wire.upward import clip

FIRST_WITHIN_S = 3600.0  # the client builds between our greeting and its request
OWED_WITHIN_S = 120.0  # for a message, either way: others wait for the lock meanwhile
A_PERSON_READS_WITHIN_S = 3600.0  # where nothing is held meanwhile
OF_A_KEY_WITHIN_S = 60.0  # a key's first word; its Deploy may come an hour later
UPLOAD_PAUSES_S = 300.0  # in all, between the blocks of an upload; more for each byte
UPLOAD_WITHIN_S, UPLOAD_OF_A_KEY_WITHIN_S = 24 * 3600.0, 3600.0
READ_WITHIN_S = 5.0  # what is told after the commit
_LEAST_RATE = 1000  # bytes a second; a large message gets more time
_LOOK_EVERY_S, _IN_A_HURRY_S = 0.2, 0.5  # while a rollback waits for this command
TAKEN_EVERY_S = 0.2  # the client is told how much of an upload has arrived
_PIECE = 256 * 1024  # bytes of one read
_LARGE = b'{"type":"deploy",'  # has a manifest
_ATOMIC = 4096  # bytes for which a pipe that is writable has room, so that no write blocks (PIPE_BUF)
_EVIDENCE_LINES, _EVIDENCE_CHARS = 50, 300  # of what is wrong with a message; it may be wrong in a million places


class Channel:
    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = _Patient(incoming.fileno())
        self._outgoing = outgoing
        self.committed = False
        self.alone = False
        self.taken_within_s = OWED_WITHIN_S
        self.upload_within_s = UPLOAD_WITHIN_S
        self.is_of_key = False
        self.listens_until = float("inf")
        self._taken, self._told_at = 0, time.monotonic()
        self._paused_s, self._upload_until = 0.0, float("inf")

    def tell(self, message: Any, body: bytes = b"") -> None:
        """Send a message upward, if anybody reads. Whether one who went away had said commit, `receive` finds out.

        A client that does not take it in time has gone, and gets nothing more: it may have the half of a message.
        """
        if self.alone:
            return
        with overtaking.postponed():
            frame = encode_frame(clip(to_header(message)), body)
            self.alone = True  # also if a signal ends this half-way: no other message may follow the half of this one
            self.alone = not self._is_taken(frame)

    def _is_taken(self, frame: bytes) -> bool:
        moved, rest = time.monotonic(), memoryview(frame)
        within_s = READ_WITHIN_S if self.committed else self.taken_within_s
        until = moved + within_s + len(frame) / _LEAST_RATE
        try:
            while rest:
                if select.select([], [self._outgoing], [], _LOOK_EVERY_S)[1]:
                    rest = rest[os.write(self._outgoing.fileno(), rest[:_ATOMIC]) :]
                    moved = time.monotonic()
                elif time.monotonic() > min(until, moved + (_IN_A_HURRY_S if overtaking.is_asked() else within_s)):
                    return False
        except OSError:
            return False
        return True

    def receive(self, *expected: Type[Any], within_s: float = OWED_WITHIN_S) -> Any:
        """The next message. Raises Cancelled at the end of the pipe, when the client has enough, and after a silence;
        BadRequest for anything that is not expected."""
        return self._next(expected, within_s)[0]

    def receive_with_body(self, *expected: Type[Any], within_s: float = OWED_WITHIN_S) -> Tuple[Any, bytes]:
        """The next message and the bytes that came with it. Raises as `receive`."""
        return self._next(expected, within_s)

    def part(self) -> Part:
        """The head of the next part of an upload. Raises BadRequest, Cancelled."""
        with self._upload_goes_on():
            part: Part = self._next((Part,))[0]
        return part

    def blocks(self) -> Iterator[bytes]:
        """The bytes of one part as they were sent. Raises BadRequest, Cancelled."""
        last = False
        while not last:
            with self._upload_goes_on():
                block, packed = self._next((Block,))
                last = block.last
                self._taken += len(packed)
                if time.monotonic() - self._told_at > TAKEN_EVERY_S:
                    self._told_at = time.monotonic()
                    self.tell(Taken(self._taken))
            yield packed

    @contextlib.contextmanager
    def _upload_goes_on(self) -> Iterator[None]:
        """Others wait for the lock, so an upload has its time, however it spends it: in silence, or with empty blocks.
        What this side does meanwhile is not counted as a pause. Raises Cancelled.
        """
        began = time.monotonic()
        self._upload_until = min(self._upload_until, began + self.upload_within_s)
        yield
        self._paused_s += time.monotonic() - began
        if self._paused_s > UPLOAD_PAUSES_S + self._taken / _LEAST_RATE:
            raise Cancelled(f"the upload is slower than {_LEAST_RATE:,} bytes a second")
        if time.monotonic() > self._upload_until:
            raise Cancelled(f"the upload takes longer than {self.upload_within_s / 3600:g} h")

    def await_commit(self, within_s: float = OWED_WITHIN_S) -> None:
        self.receive(Commit, within_s=within_s)
        self.committed = True

    def listening(self) -> bool:
        """Is the client still there, and may it listen? It has nothing more to say, so anything readable is the end."""
        gone = self.alone or time.monotonic() > self.listens_until
        return not gone and not select.select([self._incoming], [], [], 0)[0]

    def _next(self, expected: Tuple[Type[Any], ...], within_s: float = OWED_WITHIN_S) -> Tuple[Any, bytes]:
        self._incoming.expect(min(within_s, READ_WITHIN_S) if self.alone else within_s)
        try:
            frame = read_frame(self._incoming, _LARGE)
            message = None if frame is None else from_frame(frame, (*expected, Enough))
            if frame is None or (isinstance(message, Enough) and Enough not in expected):
                raise Cancelled("the client went away")
            return message, frame.body
        except FrameError as error:
            raise BadRequest(f"what came through the pipe is not a message: {error}") from None
        except Mistakes as error:
            mistakes = error.mistakes[:_EVIDENCE_LINES]
            evidence = [f"{path[:100]}: {text[:_EVIDENCE_CHARS]}" for path, text in mistakes]
            raise BadRequest("the message has mistakes", evidence) from None


class _Patient:
    """Reads from a descriptor, without a buffer: what is not asked for stays in the pipe, where `select` sees it.

    The end of a pipe may never be seen (multipass loses it), so every message has its time, and more for each byte.
    Within a message no silence is longer than that time.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.expect(OWED_WITHIN_S)

    def expect(self, within_s: float) -> None:
        """The next message, within so many seconds."""
        self._within_s, self._came, self._until = within_s, 0, time.monotonic() + within_s

    def fileno(self) -> int:
        return self._descriptor

    def read(self, size: int) -> bytes:
        left_s = min(self._within_s, self._until + self._came / _LEAST_RATE - time.monotonic())
        if not select.select([self._descriptor], [], [], max(0.0, left_s))[0]:
            raise Cancelled(f"the client said nothing{' whole' if self._came else ''} for {self._within_s:g} s")
        piece = os.read(self._descriptor, min(size, _PIECE))
        self._came += len(piece)
        return piece
