"""Ask one HTTP question of this machine and always come back: a deadline for all of it, a limit on the answer.

http.client parses; only its socket is ours, because its timeout is per read and a program that sends one byte a second
would hold it for ever. No redirect is followed, no proxy variable is read.
"""

import io
import json
import socket
import time
from http.client import HTTPException, HTTPResponse
from typing import Any, Dict, Optional, Tuple

from teal_host.wire.values import dataclass

MAX_ANSWER = 64 * 1024  # bytes of body that are looked at


@dataclass(frozen=True)
class Question:
    address: Tuple[str, int]
    path: str
    host: str
    headers: Tuple[Tuple[str, str], ...] = ()
    timeout_s: float = 5.0


@dataclass(frozen=True)
class Answer:
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


def ask(question: Question) -> Answer:
    """Raises NoAnswer within the question's timeout (seconds)."""
    deadline = time.monotonic() + question.timeout_s
    try:
        with socket.create_connection(question.address, timeout=question.timeout_s) as connection:
            connection.sendall(_request(question))
            return _answer(_Timed(connection, deadline))
    except ConnectionRefusedError:
        raise NoAnswer("the connection was refused", refused=True) from None
    except (TimeoutError, socket.timeout):  # two classes until Python 3.10
        raise NoAnswer(f"no whole answer within {round(question.timeout_s, 1):g} s") from None
    except (HTTPException, ValueError) as error:
        raise NoAnswer(f"the answer is not HTTP ({type(error).__name__})") from None
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


def _request(question: Question) -> bytes:
    lines = [f"GET {question.path} HTTP/1.1", f"Host: {question.host}", "User-Agent: teal", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in question.headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def _answer(connection: "_Timed") -> Answer:
    response = HTTPResponse(connection)  # type: ignore[arg-type]
    response.begin()
    body = response.read(MAX_ANSWER + 1)
    if len(body) > MAX_ANSWER:
        raise NoAnswer(f"the answer does not end within {MAX_ANSWER // 1024} KiB")
    if response.length:  # still to come; http.client is content with less when it is told how much to read
        raise NoAnswer(f"the answer was cut off {response.length:,} bytes before its end")
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, body)


class _Timed(io.RawIOBase):
    """The reading half of a socket under one deadline for everything that is read."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)
