"""Whole inputs, spoilt: bytes flipped, cut, doubled and put in, numbers that grow, keys twice, nesting without end."""

import json
import re
import struct
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from host import values

TOKENS = [
    *(b"\0", b"\n", b"\r\n", b"\r", b"\t", b" ", b"\x0b", b"\x1c", b"\x85", b"\xff", b"\xc2\xb2", b"\xe2\x80\xa8"),
    *(b"\xed\xa0\x80", b'"\\ud800"', b"\\u0000", b"\x1b[2J", b"\xe2\x80\xae", b"::add-mask::", b"##[group]"),
    *(b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"9" * 20, b"9" * 5000, b"0x" + b"f" * 3000, b"1e-999"),
    *(b"{", b"}", b"[", b"]", b'"', b"'", b"\\", b";", b"=", b":", b",", b"#", b"..", b"/", b"%", b"$", b"@"),
    *(
        b"[" * 3000,
        b'{"a":' * 100,
        b"{" * 3000,
        b"(" * 500,
        b"a." * 3000,
        b"A" * 70_000,
        b"\n" * 5000,
        b" " * 70_000,
        b"[[" * 3000,
    ),
]
_NUMBER = re.compile(rb"[0-9]+")
_KEY = re.compile(rb'"[^"\\]{1,40}" ?: ?')


@st.composite
def mutated(draw: st.DrawFn, wholes: st.SearchStrategy[bytes], most: int = 4) -> bytes:
    data = draw(wholes)
    for _ in range(draw(st.integers(0, most))):
        data = draw(st.sampled_from(_MUTATIONS))(draw, data)
    return data


@st.composite
def messages(draw: st.DrawFn, whole: st.SearchStrategy[Any]) -> bytes:
    """A plain value as JSON: as it is, with wrong values in it, or with wrong bytes."""
    value = draw(whole)
    if draw(st.booleans()):
        value = draw(values.spoilt(value))
    text = _text(value)
    return draw(mutated(st.just(text), 2)) if draw(st.booleans()) else text


@st.composite
def frames(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """Frames in a row; the lengths of some are wrong."""
    stream = b""
    for body in draw(st.lists(bodies, min_size=1, max_size=3)):
        content = draw(st.sampled_from([b"", b"\0", b"x" * 300]))
        lie = draw(st.sampled_from([0, 0, 0, 0, 0, 1, -1, 2**31, 2**24]))
        stream += struct.pack(">II", max(0, min(2**32 - 1, len(body) + lie)), len(content)) + body + content
    return stream[: draw(st.integers(0, len(stream)))] if draw(st.integers(0, 5)) == 0 else stream


def _text(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except ValueError:  # Python writes out no number of any size
        return b'{"a": ' + b"9" * 10_000 + b"}"


def _flipped(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, max(0, len(data) - 1)))
    return data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]


def _cut(draw: st.DrawFn, data: bytes) -> bytes:
    begin, end = sorted(draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
    return data[:begin] + data[end:]


def _doubled(draw: st.DrawFn, data: bytes) -> bytes:
    begin, end = sorted(draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
    times = draw(st.sampled_from([2, 3, 50]))
    return data[:begin] + data[begin:end] * min(times, 1 + 200_000 // (end - begin + 1)) + data[end:]


def _with_token(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(st.sampled_from(TOKENS)) + data[at:]


def _with_number(draw: st.DrawFn, data: bytes) -> bytes:
    numbers = list(_NUMBER.finditer(data[:100_000]))
    if not numbers:
        return data
    number = draw(st.sampled_from(numbers))
    return data[: number.start()] + draw(st.sampled_from(TOKENS)) + data[number.end() :]


def _with_key(draw: st.DrawFn, data: bytes) -> bytes:
    """A key that stands twice, with another value."""
    keys = list(_KEY.finditer(data[:100_000]))
    if not keys:
        return data
    key = draw(st.sampled_from(keys))
    return data[: key.start()] + key.group() + draw(st.sampled_from([b"null,", b"[],", b"1,"])) + data[key.start() :]


_MUTATIONS: list[Callable[[st.DrawFn, bytes], bytes]] = [
    _flipped, _cut, _doubled, _with_token, _with_token, _with_number, _with_key,
]  # fmt: skip
