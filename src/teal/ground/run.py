"""The only place on this side that starts programs: by argv, never through a shell."""

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol

ENDS_WITHIN_S = 10.0
_PIECE = 64 * 1024
_LONGEST_LINE = 1024 * 1024  # of a build; a longer one comes in pieces

Program = subprocess.Popen[bytes]


class Alongside(Protocol):
    """Something to watch while a program runs. What `on_readable` raises ends the program."""

    def fileno(self) -> int: ...

    def on_readable(self) -> object: ...


@dataclass(frozen=True)
class Callbacks:
    """`on_line` gets each line that the program writes; `alongside` is watched meanwhile."""

    on_line: Callable[[str], None]
    alongside: Alongside | None = None


def stream(argv: Sequence[str], cwd: Path, env: Mapping[str, str], callbacks: Callbacks) -> int:
    """Run to the end and pass on each line of output, standard error included. Returns the exit code. Raises OSError.

    There is no deadline: the user decides how long a build may take, and Ctrl-C ends it.
    """
    with subprocess.Popen(
        list(argv), cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as program:
        assert program.stdout is not None
        try:
            for line in _lines(program.stdout, callbacks.alongside):
                callbacks.on_line(line.decode(errors="replace").rstrip("\r\n"))
            return program.wait()
        except BaseException:
            program.terminate()
            end(program)
            raise


def _lines(output: IO[bytes], alongside: Alongside | None) -> Iterator[bytes]:
    """Read without a buffer: `select` cannot see what Python has buffered."""
    partial = b""
    while True:
        sources: list[Any] = [output, alongside] if alongside else [output]
        ready = select.select(sources, [], [])[0]
        if alongside in ready:
            assert alongside is not None
            alongside.on_readable()
        if output in ready:
            piece = os.read(output.fileno(), _PIECE)
            *lines, partial = (partial + piece).split(b"\n")
            yield from lines
            if len(partial) > _LONGEST_LINE:
                yield partial
                partial = b""
            if not piece:
                break
    if partial:
        yield partial


def read_output(argv: Sequence[str], cwd: Path, env: Mapping[str, str], deadline_s: float = 5.0) -> str | None:
    """What a program prints, or None when it fails or takes too long."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=deadline_s,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout.decode(errors="replace").strip()
    return None


def open_pipe(argv: Sequence[str], own_session: bool, errors: int | None = None) -> Program:
    """Start a program with a pipe to its input and output. In a session of its own, Ctrl-C does not reach it."""
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        bufsize=0,
        start_new_session=own_session,
    )


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by the program; the terminal stays. Raises OSError."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvp(argv[0], list(argv))  # noqa: S606 - by argv, as everywhere


def end(program: Program, patience_s: float = ENDS_WITHIN_S) -> int:
    """Wait for the program to end by itself; then send SIGTERM, then SIGKILL."""
    for send_signal in (None, program.terminate, program.kill):
        if send_signal is not None:
            send_signal()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return program.wait(patience_s)
    return -1


def close(pipe: IO[bytes] | None) -> None:
    """Close one end of a pipe whose other end may be closed already."""
    if pipe is not None:
        with contextlib.suppress(OSError):
            pipe.close()
