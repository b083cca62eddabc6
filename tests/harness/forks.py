"""Commands of `teal` as forks of a process that has imported `teal`, because the start of a Python and its imports take
as long as most commands.

A fork has its own arguments, environment, directory and streams, and ends as any Python does. For each command the
tests send one message, with four descriptors: the three streams, and a pipe for the PID and the exit code.
"""

import atexit
import functools
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness import forking

AT_START = ("PYTHON", "LC_", "LANG", "TZ")  # a Python reads these variables once, at its start
MOST_INPUT = 1 << 15  # a pipe takes more than this before anybody reads
NUMBER = struct.Struct("i")


@dataclass(frozen=True)
class Command:
    arguments: tuple[str, ...]
    directory: str
    env: Mapping[str, str]
    text: str = ""  # on standard input


class Forks:
    """The process that forks."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = _of_the_start(env)
        self._lock = threading.Lock()
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv, pipe = [sys.executable, forking.__file__, str(theirs.fileno())], subprocess.PIPE
        # Pipes, because Python chooses the buffers of its streams at its start.
        self._process = subprocess.Popen(
            argv, env={**env}, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=[theirs.fileno()]
        )
        theirs.close()
        if self._line.recv(1) != forking.READY:
            raise AssertionError(self._process.communicate()[1].decode())
        atexit.register(self._end)

    def take(self, command: Command) -> bool:
        """Whether a fork is as good as a process that starts with this environment."""
        return _of_the_start(command.env) == self._env and len(command.text.encode()) <= MOST_INPUT

    def run(self, command: Command, deadline_s: float) -> "subprocess.CompletedProcess[str]":
        with ExitStack() as stack:
            (stdin, text), (out, stdout), (err, stderr), (answers, answer) = (_pipe(stack) for _ in range(4))
            text.write(command.text.encode())
            text.close()
            self._send(command, [stream.fileno() for stream in (stdin, stdout, stderr, answer)])
            for stream in (stdin, stdout, stderr, answer):
                stream.close()
            pid = _number(answers)
            try:
                read = _read_both(out, err, time.monotonic() + deadline_s)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(command.arguments, deadline_s) from None
            return subprocess.CompletedProcess(command.arguments, _number(answers), *read)

    def _send(self, command: Command, fds: list[int]) -> None:
        message = json.dumps((command.arguments, command.directory, dict(command.env)))
        with self._lock:
            socket.send_fds(self._line, [message.encode()], fds)

    def _end(self) -> None:
        self._line.close()
        self._process.communicate()


@functools.cache
def forks(source: Path) -> Forks:
    """The forks of this process, with the environment that it had at the first command."""
    return Forks({**os.environ, "PYTHONPATH": str(source)})


def _of_the_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(AT_START)}


def _pipe(stack: ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    reader, writer = os.pipe()
    return stack.enter_context(os.fdopen(reader, "rb", 0)), stack.enter_context(os.fdopen(writer, "wb", 0))


def _number(answers: IO[bytes]) -> int:
    return int(NUMBER.unpack(answers.read(NUMBER.size))[0])


def _read_both(out: IO[bytes], err: IO[bytes], deadline: float) -> tuple[str, str]:
    """Reads until nobody has the other ends any more, as subprocess.run does."""
    read = {out.fileno(): b"", err.fileno(): b""}
    with selectors.DefaultSelector() as waiting:
        for fd in read:
            waiting.register(fd, selectors.EVENT_READ)
        while waiting.get_map():
            if not (ready := waiting.select(deadline - time.monotonic())) and time.monotonic() > deadline:
                raise TimeoutError
            for key, _ in ready:
                piece = os.read(key.fd, 1 << 16)
                read[key.fd] += piece
                if not piece:
                    waiting.unregister(key.fd)
    return read[out.fileno()].decode(), read[err.fileno()].decode()
