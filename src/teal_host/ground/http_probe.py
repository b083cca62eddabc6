"""Ask one HTTP question of this machine and always come back: a deadline for all of it, a limit on the answer.

Of our own, because the timeout of http.client is per read, so that a program which sends one byte a second would hold
it for ever, and because importing it (ssl, email) takes longer than asking. No redirect is followed, no proxy is used.
"""

import io
import json
import socket
import time
from typing import Any, BinaryIO, Dict, Optional, Tuple, cast

from teal_host.wire.values import dataclass

MAX_ANSWER = 64 * 1024  # bytes of body that are looked at
_MAX_LINE, _MAX_LINES = 64 * 1024, 100  # of a head
_CONTINUE, _NO_CONTENT, _NOT_MODIFIED = 100, 204, 304


@dataclass(frozen=True)
class ProbeRequest:
    address: Tuple[str, int]
    path: str
    host: str
    headers: Tuple[Tuple[str, str], ...] = ()
    timeout_s: float = 5.0


@dataclass(frozen=True)
class ProbeResponse:
    status: int
    headers: Dict[str, str]
    body: bytes

    @property
    def beginning(self) -> str:
        """The first bytes of the body, safe to show on a terminal."""
        text = self.body[:200].decode(errors="replace").strip()
        return "".join(char if char.isprintable() else " " for char in text)


class NoAnswer(Exception):
    """Why there was no answer, in one line. `refused` when nothing listens there."""

    def __init__(self, why: str, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused


def http_get(question: ProbeRequest) -> ProbeResponse:
    """Raises NoAnswer within the question's timeout (seconds)."""
    deadline = time.monotonic() + question.timeout_s
    try:
        with socket.create_connection(question.address, timeout=question.timeout_s) as connection:
            connection.sendall(_request(question))
            return _answer(cast(BinaryIO, io.BufferedReader(_Timed(connection, deadline))))
    except ConnectionRefusedError:
        raise NoAnswer("the connection was refused", refused=True) from None
    except (TimeoutError, socket.timeout):  # two classes until Python 3.10
        raise NoAnswer(f"no whole answer within {round(question.timeout_s, 1):g} s") from None
    except _NotHttp as error:
        raise NoAnswer(f"the answer is not HTTP ({error})") from None
    except OSError as error:
        raise NoAnswer(f"the connection broke: {error.strerror or error}") from None


def json_differs(body: bytes, wanted: Optional[Dict[str, Any]]) -> Optional[str]:
    """What is not as wanted in a JSON answer, or None. Only the members that were asked for are compared."""
    if wanted is None:
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return "the answer is not JSON"
    if not isinstance(found, dict):
        return "the answer is not a JSON object"
    for key, value in wanted.items():
        if key not in found:
            return f'"{key}" is not in the answer'
        if found[key] != value or isinstance(found[key], bool) != isinstance(value, bool):
            return f'"{key}" is {json.dumps(found[key])[:80]}, expected {json.dumps(value)[:80]}'
    return None


def _request(question: ProbeRequest) -> bytes:
    lines = [f"GET {question.path} HTTP/1.1", f"Host: {question.host}", "User-Agent: teal", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in question.headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


class _NotHttp(Exception):
    """What in it is none."""


def _answer(stream: BinaryIO) -> ProbeResponse:
    status = _CONTINUE
    while status == _CONTINUE:
        status = _status(_line(stream))
        headers = _headers(stream)
    body = b"" if status in (_NO_CONTENT, _NOT_MODIFIED) else _body(stream, headers)
    if len(body) > MAX_ANSWER:
        raise NoAnswer(f"the answer does not end within {MAX_ANSWER // 1024} KiB")
    return ProbeResponse(status, headers, body)


def _status(line: str) -> int:
    version, _, rest = line.partition(" ")
    code = rest.strip()[:3]
    if not version.startswith("HTTP/") or not _is_number(code) or rest.strip()[3:4].strip() or int(code) < _CONTINUE:
        raise _NotHttp("no status line" if line else "it ended before it began")
    return int(code)


def _headers(stream: BinaryIO) -> Dict[str, str]:
    """The first of each name, in lower case."""
    found: Dict[str, str] = {}
    for _ in range(_MAX_LINES):
        line = _line(stream)
        if not line:
            return found
        name, _, value = line.partition(":")
        found.setdefault(name.strip().lower(), value.strip())
    raise _NotHttp("too many headers")


def _body(stream: BinaryIO, headers: Dict[str, str]) -> bytes:
    """At most one byte more than is looked at."""
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
    """Without its end; empty at the end of all."""
    line = stream.readline(_MAX_LINE + 1)
    if len(line) > _MAX_LINE:
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
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)
