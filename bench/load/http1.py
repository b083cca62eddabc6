"""Reads HTTP/1 answers strictly: any answer that is not complete and correct makes a failed request."""

import asyncio
import re
from dataclasses import dataclass


class RequestError(Exception):
    """A request failed. The text says why."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    closes: bool  # the server closes the connection after this answer


@dataclass(frozen=True)
class Head:
    status: int
    headers: dict[str, str]
    closes: bool  # the server closes the connection after this answer


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    head = await read_head(reader)
    return Answer(head.status, await read_body(reader, head), head.closes)


async def read_head(reader: asyncio.StreamReader) -> Head:
    line, *lines = await _read_lines(reader)
    status = re.fullmatch(r"HTTP/1\.([01]) (\d{3})( .*)?", line, re.ASCII)
    if not status:
        raise RequestError(f"not an HTTP/1 answer: {line[:80]!r}")
    headers = dict(_header(line) for line in lines)
    closes = status[1] == "0" or "close" in headers.get("connection", "").lower()
    return Head(int(status[2]), headers, closes)


async def _read_lines(reader: asyncio.StreamReader) -> list[str]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        raise RequestError("the connection was closed without an answer") from error
    return head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


async def read_body(reader: asyncio.StreamReader, head: Head) -> bytes:
    if head.headers.get("transfer-encoding", "").lower() == "chunked":
        return await _read_chunks(reader)
    length = head.headers.get("content-length", "")
    if not re.fullmatch(r"\d{1,12}", length, re.ASCII):
        raise RequestError("an answer without a length: nobody can tell whether the answer is complete")
    return await reader.readexactly(int(length))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while chunk := await read_chunk(reader):
        body += chunk
    return body


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    """Returns the next chunk, or no bytes at the end of the answer."""
    size = _chunk_size(await reader.readuntil(b"\r\n"))
    if size == 0:
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass  # trailers
        return b""
    chunk = await reader.readexactly(size + 2)
    if not chunk.endswith(b"\r\n"):
        raise RequestError(f"a chunk is longer than its size of {size} bytes")
    return chunk[:-2]


def _chunk_size(line: bytes) -> int:
    size = re.match(rb"[0-9a-fA-F]{1,12}(?=[;\s])", line)
    if not size:
        raise RequestError(f"not the size of a chunk: {line[:80]!r}")
    return int(size[0], 16)
