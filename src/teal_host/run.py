"""The only place that starts programs: by argv, with a deadline, never through a shell."""

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from teal_host import files
from teal_host.errors import CannotRun


@dataclass(frozen=True)
class Ran:
    code: int
    output: str

    @property
    def lines(self) -> List[str]:
        return self.output.splitlines()


def run(argv: Sequence[str], deadline_s: float) -> Ran:
    """Run to the end; output and errors together, in the C locale. Raises CannotRun when it cannot or is too slow."""
    files.witness(f"run {Path(argv[0]).name} {' '.join(argv[1:2])}")
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=deadline_s,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotRun(f"{argv[0]} did not end within {deadline_s:g} s") from None
    except OSError as error:
        raise CannotRun(f"cannot run {argv[0]}: {error.strerror}") from None
    return Ran(done.returncode, done.stdout.decode(errors="replace"))


@dataclass(frozen=True)
class Program:
    """A program to be started and left running: what, with which environment, where, and where its output goes."""

    argv: Sequence[str]
    env: Dict[str, str]
    cwd: Path
    log: Path


def spawn(program: Program) -> "subprocess.Popen[bytes]":
    """Start it in a session of its own, so that it outlives this side. Raises OSError when it cannot be executed."""
    output = files.open_log(program.log)
    files.witness(f"spawn {Path(program.argv[0]).name}")
    try:
        return subprocess.Popen(
            list(program.argv),
            cwd=program.cwd,
            env=program.env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    finally:
        os.close(output)


def send_signal(pid: int, number: signal.Signals, descriptor: Optional[int] = None) -> None:
    """Signal a process; through a pidfd it cannot be another one that took over the number. It may be gone."""
    files.witness(f"signal {number.name}")
    with contextlib.suppress(ProcessLookupError):
        if descriptor is not None:
            signal.pidfd_send_signal(descriptor, number)
        else:
            os.kill(pid, number)
