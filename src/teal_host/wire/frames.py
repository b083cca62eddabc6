"""Frames: how one message travels. Two lengths (4 bytes each, big-endian), a JSON object, then raw bytes.

Explicit lengths, because the end of a pipe may never be seen (multipass loses it) and must not be needed.
"""

import json
import struct
from typing import Any, BinaryIO, Dict, Optional, Protocol

from teal_host.wire.values import dataclass

PROTOCOL = 5  # counts up when one side could misunderstand the other
MAX_HEADER = 16 * 1024 * 1024  # bytes of JSON: the manifest of 40,000 files fits
MAX_SMALL = 2 * 1024 * 1024  # of any other message; an environment of a million bytes fits
MAX_BODY = 1024 * 1024  # bytes of a block of an upload
MAX_DEPTH = 24  # nested objects and lists
MAX_DIGITS = 4300  # of a number, as in Python since 3.11; one before takes minutes to read a million
MAX_COMMAS = 600_000  # a manifest of 40,000 files has half as many; each could become a value of a hundred bytes

_LENGTHS = struct.Struct(">II")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class Readable(Protocol):
    def read(self, __size: int) -> bytes:
        """At most so many bytes; b"" at the end."""


class FrameError(ValueError):
    """What arrived is not a frame: cut, too large, too deep, or no JSON object."""


@dataclass(frozen=True)
class Frame:
    header: Dict[str, Any]
    body: bytes = b""


def write_frame(stream: BinaryIO, header: Dict[str, Any], body: bytes = b"") -> int:
    """Send one frame; gives the bytes that it took. Raises OSError when nobody reads any more."""
    frame = encode_frame(header, body)
    stream.write(frame)
    stream.flush()
    return len(frame)


def encode_frame(header: Dict[str, Any], body: bytes = b"") -> bytes:
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":"))
    data = text.encode(errors="backslashreplace")  # half a surrogate pair has no UTF-8; its escape is JSON
    if len(data) > MAX_HEADER or len(body) > MAX_BODY:
        raise FrameError(f"a message of {len(data):,} + {len(body):,} bytes is too large to send")
    return _LENGTHS.pack(len(data), len(body)) + data + body


def read_frame(stream: Readable, large: bytes = b"") -> Optional[Frame]:
    """The next frame, or None when the pipe ended between two frames. Raises FrameError.

    `large`: how a header begins that may be larger than MAX_SMALL.
    """
    lengths = _read_exactly(stream, _LENGTHS.size, may_end=True)
    if not lengths:
        return None
    header_size, body_size = _LENGTHS.unpack(lengths)
    if header_size > MAX_HEADER or body_size > MAX_BODY:
        raise FrameError(f"a frame of {header_size:,} + {body_size:,} bytes is larger than allowed")
    begin = _read_exactly(stream, len(large)) if header_size > MAX_SMALL else b""
    if begin != large[: len(begin)]:
        raise FrameError(f"a header of {header_size:,} bytes is larger than allowed for this message")
    text = begin + _read_exactly(stream, header_size - len(begin))
    if text.count(b",") > MAX_COMMAS:
        raise FrameError(f"the message has more than {MAX_COMMAS:,} values")
    return Frame(parse_object(text), _read_exactly(stream, body_size))


def parse_object(text: bytes) -> Dict[str, Any]:
    """A JSON object of bounded depth. Raises FrameError."""
    if _depth(text) > MAX_DEPTH:
        raise FrameError(f"the message is nested deeper than {MAX_DEPTH}")
    try:
        value = json.loads(text.decode(), parse_constant=_no_constant, parse_int=_whole_number)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"the message is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise FrameError("the message is not a JSON object")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


def _depth(text: bytes) -> int:
    """By plain replacing, so that it takes time in proportion to any text, also one that is no JSON."""
    unescaped = text.replace(rb"\\", b"").replace(rb"\"", b"")
    outside = b"".join(unescaped.split(b'"')[::2])
    deepest = depth = 0
    for bracket in outside.translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _read_exactly(stream: Readable, size: int, may_end: bool = False) -> bytes:
    """Exactly so many bytes. An end before the first byte gives b"" where that may be."""
    parts = []
    missing = size
    while missing:
        part = stream.read(missing)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    if missing and not (may_end and missing == size):
        raise FrameError(f"the pipe ended {missing:,} bytes before the end of a message")
    return b"".join(parts)
