"""One HTTP request to this machine, with a deadline for all of it and a limit on the answer.

http.client is no help: its timeout is per read, so a program that sends one byte a second would hold it for ever, and
its import (ssl, email) takes longer than the request. The probe follows no redirect and uses no proxy.
"""

import io
import json
import os
import socket
import struct
import time
from typing import Any, BinaryIO, Dict, Optional, Tuple, Union, cast

from teal_host.wire.values import dataclass

MAX_ANSWER = 64 * 1024  # bytes of body; a longer one is left unread from there on, which is no fault of the program
_MAX_HEAD = 64 * 1024  # bytes; nginx passes on 16 KiB
_CONTINUE, _NO_CONTENT, _NOT_MODIFIED = 100, 204, 304


Address = Union[Tuple[str, int], str]  # a host and a port, or the path of a Unix socket


@dataclass(frozen=True)
class ProbeRequest:
    """`encrypted`: over TLS, with any certificate: this machine asks itself."""

    address: Address
    path: str
    host: str
    headers: Tuple[Tuple[str, str], ...] = ()
    timeout_s: float = 5.0
    encrypted: bool = False


@dataclass(frozen=True)
class ProbeResponse:
    """`is_whole`: the body ends within the limit of the probe. Else the body is its beginning."""

    status: int
    headers: Dict[str, str]
    body: bytes
    is_whole: bool = True

    @property
    def beginning(self) -> str:
        """The first bytes of the body, safe to show on a terminal."""
        text = self.body[:200].decode(errors="replace").strip()
        return "".join(char if char.isprintable() else " " for char in text)


class NoAnswer(Exception):
    """Why there was no answer, in one line. `refused`: nothing listens at that address. `silent`: no whole answer came
    in time; one that closes the connection has decided to.
    """

    def __init__(self, why: str, refused: bool = False, silent: bool = False) -> None:
        super().__init__(why)
        self.refused, self.silent = refused, silent


def http_get(request: ProbeRequest) -> ProbeResponse:
    """Raises NoAnswer within the request's timeout."""
    deadline = time.monotonic() + request.timeout_s
    try:
        with _greeted(_connected(request.address, request.timeout_s), request) as connection:
            connection.sendall(_encoded(request))
            return _answer(cast(BinaryIO, io.BufferedReader(_Timed(connection, deadline))))
    except ConnectionRefusedError:
        raise NoAnswer("the connection was refused", refused=True) from None
    except (TimeoutError, socket.timeout, BlockingIOError):  # two classes until Python 3.10; a queue that stays full
        why = f"no whole answer within {round(request.timeout_s, 1):g} s"
        raise NoAnswer(why, silent=True) from None
    except _NotHttp as error:
        raise NoAnswer(f"the answer is not HTTP ({error})") from None
    except OSError as error:
        raise NoAnswer(f"the connection broke: {error.strerror or error}") from None


def _connected(address: Address, timeout_s: float) -> socket.socket:
    """A program made the Unix socket, and root asks: a link to somebody else's socket is not followed."""
    if not isinstance(address, str):
        return socket.create_connection(address, timeout=timeout_s)
    connection, file = socket.socket(socket.AF_UNIX), os.open(address, os.O_PATH | os.O_NOFOLLOW)
    try:
        microseconds = round(timeout_s * 1e6) + 1
        # The kernel waits while the queue is full. A connect() of Python's own timeout does not wait for that.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", *divmod(microseconds, 10**6)))
        connection.connect(f"/proc/self/fd/{file}")
        connection.settimeout(timeout_s)
    except OSError:
        connection.close()
        raise
    finally:
        os.close(file)
    return connection


def _greeted(connection: socket.socket, request: ProbeRequest) -> socket.socket:
    if not request.encrypted:
        return connection
    import ssl  # takes longer than a request, and few need it

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connection:  # a handshake that fails leaves it
        return context.wrap_socket(connection, server_hostname=request.host)


def json_differs(response: ProbeResponse, expected: Optional[Dict[str, Any]]) -> Optional[str]:
    """What differs in a JSON answer, or None. Only the members of `expected` count."""
    if expected is None:
        return None
    if not response.is_whole:
        return f"the answer does not end within {MAX_ANSWER // 1024} KiB"
    try:
        answer = json.loads(response.body)
        return _members_differ(answer, expected) if isinstance(answer, dict) else "the answer is not a JSON object"
    except (ValueError, RecursionError):  # also to show a member may be too deep for Python
        return "the answer is not JSON"


def _members_differ(answer: Dict[str, Any], expected: Dict[str, Any]) -> Optional[str]:
    for key, value in expected.items():
        if key not in answer:
            return f'"{key}" is not in the answer'
        if answer[key] != value or isinstance(answer[key], bool) != isinstance(value, bool):
            return f'"{key}" is {json.dumps(answer[key])[:80]}, expected {json.dumps(value)[:80]}'
    return None


def _encoded(request: ProbeRequest) -> bytes:
    lines = [f"GET {request.path} HTTP/1.1", f"Host: {request.host}", "User-Agent: teal", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


class _NotHttp(Exception):
    """What in the answer is not HTTP."""


def _answer(stream: BinaryIO) -> ProbeResponse:
    status = _CONTINUE
    while status == _CONTINUE:
        status = _status(_line(stream))
        headers = _headers(stream)
    body = b"" if status in (_NO_CONTENT, _NOT_MODIFIED) else _body(stream, headers)
    return ProbeResponse(status, headers, body[:MAX_ANSWER], len(body) <= MAX_ANSWER)


def _status(line: str) -> int:
    version, _, rest = line.partition(" ")
    code = rest.strip()[:3]
    if not version.startswith("HTTP/") or not _is_number(code) or rest.strip()[3:4].strip() or int(code) < _CONTINUE:
        raise _NotHttp("no status line" if line else "it ended before it began")
    return int(code)


def _headers(stream: BinaryIO) -> Dict[str, str]:
    """The first header of each name, with the name in lower case."""
    headers: Dict[str, str] = {}
    size = 0
    while size <= _MAX_HEAD:
        line = _line(stream)
        if not line:
            return headers
        size += len(line)
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    raise _NotHttp(f"its headers do not end within {_MAX_HEAD // 1024} KiB")


def _body(stream: BinaryIO, headers: Dict[str, str]) -> bytes:
    """At most one byte more than the limit."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _chunks(stream)
    announced = headers.get("content-length", "")
    if not _is_number(announced):
        return stream.read(MAX_ANSWER + 1)
    body = stream.read(min(int(announced), MAX_ANSWER + 1))
    missing = int(announced) - len(body)
    if missing and len(body) <= MAX_ANSWER:
        raise NoAnswer(f"the answer was cut off {missing:,} bytes before its end")
    return body


def _chunks(stream: BinaryIO) -> bytes:
    body = b""
    while len(body) <= MAX_ANSWER:
        size = _line(stream).partition(";")[0].strip()
        if not size or len(size) > 8 or size.strip("0123456789abcdefABCDEF"):
            raise _NotHttp("no size of a chunk")
        if int(size, 16) == 0:
            break
        chunk = stream.read(min(int(size, 16), MAX_ANSWER + 1))
        body += chunk
        if len(chunk) <= MAX_ANSWER and (len(chunk) < int(size, 16) or _line(stream)):
            raise _NotHttp("a chunk is cut off")
    return body


def _line(stream: BinaryIO) -> str:
    """Without the line's end; empty at the end of the answer."""
    line = stream.readline(_MAX_HEAD + 1)
    if len(line) > _MAX_HEAD:
        raise _NotHttp("a line is too long")
    return line.decode("latin-1").rstrip("\r\n")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


class _Timed(io.RawIOBase):
    """The reading half of a socket under one deadline for everything that is read."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        remaining_s = self._deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        self._connection.settimeout(remaining_s)
        return self._connection.recv_into(buffer)
