"""This side of the conversation: what comes in is typed and expected, what goes out may find nobody listening.

Until the client has said commit, its going away is an abort. Afterwards nobody needs to listen: the work is finished.
"""

import select
import zlib
from typing import Any, BinaryIO, Iterator, Tuple, Type

from teal_host.errors import Aborted, BadRequest
from teal_host.wire.frames import FrameError, read_frame, write_frame
from teal_host.wire.messages import Block, Commit, from_frame, to_header
from teal_host.wire.typed import Mistakes

_EVIDENCE_LINES, _EVIDENCE_CHARS = 50, 300  # of what is wrong with a message; it may be wrong in a million places


class Talk:
    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self.committed = False
        self.alone = False

    def tell(self, message: Any, body: bytes = b"") -> None:
        """Send a message upward, if anybody reads. Whether one who went away had said commit, `receive` finds out."""
        if self.alone:
            return
        try:
            write_frame(self._outgoing, to_header(message), body)
        except OSError:
            self.alone = True

    def receive(self, *expected: Type[Any]) -> Any:
        """The next message. Raises Aborted at the end of the pipe, BadRequest for anything that is not expected."""
        return self._next(expected)[0]

    def receive_with_body(self, *expected: Type[Any]) -> Tuple[Any, bytes]:
        """The next message and the bytes that came with it. Raises as `receive`."""
        return self._next(expected)

    def blocks(self) -> Iterator[bytes]:
        """The bytes of the upload, uncompressed, in pieces of bounded size. Raises BadRequest, Aborted."""
        unpacker = zlib.decompressobj()
        last = False
        while not last:
            block, packed = self._next((Block,))
            last = block.last
            while packed and not unpacker.eof:
                piece = _unpacked(unpacker, packed)
                packed = unpacker.unconsumed_tail
                if piece:  # an empty one would look like the end
                    yield piece
            if packed:
                break
        if not unpacker.eof or unpacker.unused_data or packed:
            raise BadRequest("the upload does not end where it should")

    def await_commit(self) -> None:
        self.receive(Commit)
        self.committed = True

    def listening(self) -> bool:
        """Is the client still there? It has nothing more to say, so anything readable is the end of the pipe."""
        return not self.alone and not select.select([self._incoming], [], [], 0)[0]

    def _next(self, expected: Tuple[Type[Any], ...]) -> Tuple[Any, bytes]:
        try:
            frame = read_frame(self._incoming)
            if frame is None:
                raise Aborted("the client went away")
            return from_frame(frame, expected), frame.body
        except FrameError as error:
            raise BadRequest(f"what came through the pipe is not a message: {error}") from None
        except Mistakes as error:
            told = [f"{place[:100]}: {says[:_EVIDENCE_CHARS]}" for place, says in error.found[:_EVIDENCE_LINES]]
            raise BadRequest("the message has mistakes", told) from None


def _unpacked(unpacker: "zlib._Decompress", packed: bytes) -> bytes:
    try:
        return unpacker.decompress(packed, 1024 * 1024)
    except zlib.error as error:
        raise BadRequest(f"the upload cannot be uncompressed: {error}") from None
