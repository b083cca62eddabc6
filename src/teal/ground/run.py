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

Program = subprocess.Popen[bytes]


class Alongside(Protocol):
    """What goes on beside a program: readable when it wants to be heard. What `hear` raises ends the program."""

    def fileno(self) -> int: ...

    def hear(self) -> object: ...


@dataclass(frozen=True)
class ProgramResult:
    """Who is told each line of what a program writes, and what is waited for meanwhile."""

    tell: Callable[[str], None]
    beside: Alongside | None = None


def stream(argv: Sequence[str], cwd: Path, env: Mapping[str, str], told: ProgramResult) -> int:
    """Run to the end and tell each line of its output, errors included. Gives its exit code. Raises OSError.

    Without a deadline: how long a build may take is its user's business, and Ctrl-C ends it.
    """
    with subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as program:
        assert program.stdout is not None
        try:
            for line in _lines(program.stdout, told.beside):
                told.tell(line.decode(errors="replace").rstrip("\r\n"))
            return program.wait()
        except BaseException:
            program.terminate()
            end(program)
            raise


def _lines(output: IO[bytes], beside: Alongside | None) -> Iterator[bytes]:
    """Of the output, as they come. Read without a buffer, so that `select` sees what has come."""
    begun = b""
    while True:
        waited_for: list[Any] = [output, beside] if beside else [output]
        ready = select.select(waited_for, [], [])[0]
        if beside in ready:
            assert beside is not None
            beside.hear()
        if output in ready:
            piece = os.read(output.fileno(), _PIECE)
            *lines, begun = (begun + piece).split(b"\n")
            yield from lines
            if not piece:
                break
    if begun:
        yield begun


def ask(argv: Sequence[str], cwd: Path, deadline_s: float = 5.0) -> str | None:
    """The first line that a program prints, or None when it cannot tell."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(list(argv), cwd=cwd, capture_output=True, timeout=deadline_s, check=False)
        if done.returncode == 0:
            return done.stdout.decode(errors="replace").strip()
    return None


def open_pipe(argv: Sequence[str], own_session: bool, errors: int | None = None) -> Program:
    """Start a program and keep both its ends. In a session of its own it does not hear the terminal's Ctrl-C."""
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        bufsize=0,
        start_new_session=own_session,
    )


def become(argv: Sequence[str]) -> NoReturn:
    """Be this program from now on, with the terminal and all. Raises OSError."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvp(argv[0], list(argv))  # noqa: S606 - by argv, as everywhere


def end(program: Program, patience_s: float = ENDS_WITHIN_S) -> int:
    """Wait for it to end by itself, then ask it to, then end it."""
    for ask_to_end in (None, program.terminate, program.kill):
        if ask_to_end is not None:
            ask_to_end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return program.wait(patience_s)
    return -1


def close(pipe: IO[bytes] | None) -> None:
    """Close an end of a pipe whose other end may be gone."""
    if pipe is not None:
        with contextlib.suppress(OSError):
            pipe.close()
