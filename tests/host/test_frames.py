"""Frames carry any message whole. Any other input raises FrameError: never another exception, and never a hang."""

import io
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host import pipe
from teal_host.wire import requests
from teal_host.wire.frames import (
    MAX_BODY,
    MAX_DEPTH,
    MAX_HEADER,
    MAX_SMALL,
    Frame,
    FrameError,
    parse_object,
    read_frame,
    write_frame,
)
from teal_host.wire.messages import from_frame

TEXT = st.text() | st.sampled_from(['"', '\\"', "\\\\", "{[", "\ud800", "\x00", "é\u2028"])
NUMBERS = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.none() | st.booleans() | NUMBERS | TEXT
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
HEADERS = st.dictionaries(TEXT, VALUES, max_size=5)
SAMPLE = pipe.frame({"type": "block", "text": 'é\ud800"\\{[', "list": [1, {"a": None}]}, b"\x00\xff[[[")


def read(data: bytes) -> Frame | None:
    return read_frame(io.BytesIO(data))


@given(HEADERS, st.binary(max_size=200))
def test_frame_is_read_as_written(header: dict[str, Any], body: bytes) -> None:
    assert read(pipe.frame(header, body)) == Frame(header, body)


@given(st.lists(st.tuples(HEADERS, st.binary(max_size=50)), max_size=4))
def test_frames_are_read_in_order_until_the_stream_ends(sent: list[tuple[dict[str, Any], bytes]]) -> None:
    stream = io.BytesIO(b"".join(pipe.frame(header, body) for header, body in sent))
    assert [read_frame(stream) for _ in sent] == [Frame(header, body) for header, body in sent]
    assert read_frame(stream) is None


@given(HEADERS, st.binary(max_size=50))
def test_frame_is_read_whole_when_the_stream_gives_one_byte_at_a_time(header: dict[str, Any], body: bytes) -> None:
    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(1, size or 0))

    assert read_frame(Dripping(pipe.frame(header, body))) == Frame(header, body)


@given(HEADERS, st.binary(max_size=50))
def test_frame_writer_returns_how_many_bytes_were_written(header: dict[str, Any], body: bytes) -> None:
    stream = io.BytesIO()
    assert write_frame(stream, header, body) == len(stream.getvalue())


@pytest.mark.parametrize("end", range(1, len(SAMPLE)))
def test_frame_is_an_error_when_cut_at_any_byte(end: int) -> None:
    with pytest.raises(FrameError, match="the pipe ended"):
        read(SAMPLE[:end])


def test_frame_reader_gives_none_when_the_pipe_ends_before_a_frame() -> None:
    assert read(b"") is None


@given(st.binary(max_size=300))
def test_frame_reader_gives_a_frame_or_a_frame_error_for_any_bytes(data: bytes) -> None:
    try:
        frame = read(data)
    except FrameError:
        return
    assert frame is None or isinstance(frame.header, dict)


@given(st.binary(max_size=300))
def test_object_parser_gives_an_object_or_a_frame_error_for_any_bytes(data: bytes) -> None:
    try:
        assert isinstance(parse_object(data), dict)
    except FrameError:
        return


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pipe.lengths(2**31), "2,147,483,648 + 0 bytes is larger than allowed"),
        (pipe.lengths(2**32 - 1, 2**32 - 1), "larger than allowed"),
        (pipe.lengths(MAX_HEADER + 1), "larger than allowed"),
        (pipe.lengths(2, MAX_BODY + 1) + b"{}", "larger than allowed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "larger than allowed"),
        (pipe.raw(b""), "not JSON"),
        (pipe.raw(b"hello"), "not JSON"),
        (pipe.raw(b'{"a": 1'), "not JSON"),
        (pipe.raw(b'{"a": 1}}'), "not JSON"),
        (pipe.raw(b"{'a': 1}"), "not JSON"),
        (pipe.raw(b'{"a": "\xff\xfe"}'), "not JSON"),
        (pipe.raw(b'{"a": "\xed\xa0\x80"}'), "not JSON"),
        (pipe.raw(b'\xef\xbb\xbf{"a": 1}'), "not JSON"),
        (pipe.raw('{"a": 1}'.encode("utf-16")), "not JSON"),
        (pipe.raw(b'{"a": "line\nbreak"}'), "not JSON"),
        (pipe.raw(b'{"a": NaN}'), "NaN is not JSON"),
        (pipe.raw(b'{"a": -Infinity}'), "-Infinity is not JSON"),
        (pipe.raw(b'{"a": ' + b"9" * 5000 + b"}"), "not JSON"),
        (pipe.raw(b'{"a": -' + b"9" * 4300 + b"}"), "more than 4300 digits"),
        (pipe.raw(b"[]"), "not a JSON object"),
        (pipe.raw(b"null"), "not a JSON object"),
        (pipe.raw(b'"text"'), "not a JSON object"),
        (pipe.raw(b"1e999"), "not a JSON object"),
        (pipe.raw(b'{"a":' * 25 + b"1" + b"}" * 25), "deeper than 24"),
        (pipe.raw(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "deeper than 24"),
        (pipe.raw(b"[" * 1_000_000), "deeper than 24"),
        (pipe.raw(b'{"\\"":' + b"[" * 100 + b"]" * 100 + b"}"), "deeper than 24"),
        (pipe.raw(b'{"\\\\":' + b"[" * 100 + b"]" * 100 + b"}"), "deeper than 24"),
    ],
)
def test_frame_reader_refuses_a_malformed_frame_and_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(FrameError) as refused:
        read(data)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 300


def test_nesting_depth_is_counted_outside_of_texts_only() -> None:
    text = '"[[[[\\"{{{{[[[[{{{{[[[[{{{{[[[[{{{{\\\\"'
    deep = b"[" * (MAX_DEPTH - 1) + text.encode() + b"]" * (MAX_DEPTH - 1)
    assert parse_object(b'{"a":' + deep + b"}")["a"]
    with pytest.raises(FrameError, match="deeper"):
        parse_object(b'{"a":[' + deep + b"]}")


@pytest.mark.parametrize("unit", [b'"\\', b'"', b"\\", b'\\"', b"[]", b"{", b"a", b'"a"'])
@pytest.mark.row("S11")
def test_object_parser_takes_time_in_proportion_to_the_length(unit: bytes) -> None:
    """The test compares two times of the parser: ten times the length takes about ten times as long, not a hundred."""

    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        began = time.process_time()
        with pytest.raises(FrameError):
            parse_object(text)
        return time.process_time() - began

    short = min(seconds(20_000) for _ in range(3))
    assert seconds(200_000) < 40 * short + 0.1


@pytest.mark.parametrize("size", [(MAX_HEADER, 0), (10, MAX_BODY + 1)])
def test_frame_writer_sends_nothing_when_the_frame_is_too_large(size: tuple[int, int]) -> None:
    stream = io.BytesIO()
    with pytest.raises(FrameError, match="too large to send"):
        write_frame(stream, {"a": "x" * size[0]}, b"x" * size[1])
    assert stream.getvalue() == b""


def test_largest_frame_passes() -> None:
    header, body = {"a": "x" * (MAX_HEADER - 8)}, b"x" * MAX_BODY
    assert read(pipe.frame(header, body)) == Frame(header, body)


@pytest.mark.parametrize("name", [None, "", "Status", "status ", "block", "greeting", "failure", 7, [], {}, "x" * 9000])
def test_message_is_refused_when_its_verb_is_unexpected(name: object) -> None:
    with pytest.raises(FrameError, match="is not expected here") as refused:
        from_frame(Frame({"type": name, "app": "shop"}), requests.REQUESTS)
    assert len(str(refused.value)) < 100


def test_message_is_refused_when_it_has_no_verb() -> None:
    with pytest.raises(FrameError, match="'None' is not expected here"):
        from_frame(Frame({}), requests.REQUESTS)


@pytest.mark.row("S11")
def test_header_larger_than_small_is_read_only_where_it_begins_as_expected() -> None:
    large = b'{"type":"deploy",' + b" " * MAX_SMALL + b'"id":"x"}'
    frame = len(large).to_bytes(4, "big") + bytes(4) + large
    assert read_frame(io.BytesIO(frame), b'{"type":"deploy",') == Frame({"type": "deploy", "id": "x"})
    with pytest.raises(FrameError, match="larger than allowed for this message"):
        read_frame(io.BytesIO(frame.replace(b"deploy", b"status")), b'{"type":"deploy",')
    assert read_frame(io.BytesIO(frame.replace(b"deploy", b"report"))) == Frame({"type": "report", "id": "x"})
